package cloud

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/attachinterfaces"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/octavo-lb/octavo/plan"
)

// Server reads an instance. NotFound.
func (c *Client) Server(ctx context.Context, id string) (plan.Server, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return plan.Server{}, err
	}
	defer cancel()
	return getServer(ctx, s.compute, id)
}

func getServer(ctx context.Context, compute *gophercloud.ServiceClient, id string) (plan.Server, error) {
	found, err := servers.Get(ctx, compute, id).Extract()
	if err != nil {
		return plan.Server{}, wrap(err, "read server %s", id)
	}
	return readServer(found), nil
}

func readServer(s *servers.Server) plan.Server {
	found := plan.Server{ID: s.ID, Name: s.Name, Fault: s.Fault.Message}
	if found.Image.ID, _ = s.Image["id"].(string); found.Image.ID == "" {
		found.Image.ID = s.Metadata[imageMetadata] // one that boots from a volume has no image any more
	}
	switch s.Status {
	case "ACTIVE", "REBOOT", "HARD_REBOOT", "MIGRATING", "RESIZE", "VERIFY_RESIZE", "PASSWORD":
		found.State = plan.ServerActive
	case "BUILD", "REBUILD":
		found.State = plan.ServerBuilding
	case "DELETED", "SOFT_DELETED":
		found.State = plan.ServerGone
	default:
		found.State = plan.ServerFailed
		if found.Fault == "" {
			found.Fault = "its status is " + s.Status
		}
		found.Fault = describe(faultKind(found.Fault), found.Fault)
	}
	if s.TaskState == "deleting" {
		found.State = plan.ServerLeaving
	}
	return found
}

// FindServer finds an instance by its name. NotFound.
func (c *Client) FindServer(ctx context.Context, name string) (plan.Server, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return plan.Server{}, err
	}
	defer cancel()
	found, err := findServers(ctx, s.compute, name)
	if err != nil {
		return plan.Server{}, err
	}
	if len(found) == 0 {
		return plan.Server{}, &Error{Kind: NotFound, Doing: "find server " + name, Message: "there is none"}
	}
	return found[0], nil
}

// findServers knows that Nova takes the name for a regular expression.
func findServers(ctx context.Context, compute *gophercloud.ServiceClient, name string) ([]plan.Server, error) {
	list, err := listServers(ctx, compute, servers.ListOpts{Name: name})
	return slices.DeleteFunc(list, func(s plan.Server) bool { return s.Name != name }), err
}

func listServers(ctx context.Context, compute *gophercloud.ServiceClient, o servers.ListOpts) ([]plan.Server, error) {
	pages, err := servers.List(compute, o).AllPages(ctx)
	if err != nil {
		return nil, wrap(err, "list servers")
	}
	list, err := servers.ExtractServers(pages)
	if err != nil {
		return nil, wrap(err, "list servers")
	}
	found := make([]plan.Server, 0, len(list))
	for i := range list {
		found = append(found, readServer(&list[i]))
	}
	slices.SortFunc(found, func(a, b plan.Server) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

// CreateServer boots an instance with a config drive that holds the user data. It does not look for one first: what is
// in the user data must be stored between the look and the making.
func (c *Client) CreateServer(ctx context.Context, want plan.Server, userData []byte) (plan.Server, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return plan.Server{}, err
	}
	defer cancel()
	image, err := findImage(ctx, s.image, want.Image)
	if err != nil {
		return plan.Server{}, err
	}
	networks := make([]servers.Network, 0, len(want.PortIDs))
	for _, id := range want.PortIDs {
		networks = append(networks, servers.Network{Port: id})
	}
	drive := true
	o := servers.CreateOpts{
		Name: want.Name, ImageRef: image, FlavorRef: want.FlavorID, Networks: networks, ConfigDrive: &drive,
		AvailabilityZone: want.AvailabilityZone, UserData: []byte(base64.StdEncoding.EncodeToString(userData)),
	}
	compute := *s.compute
	if want.Volume.GB > 0 {
		compute.Microversion = bootFrom(want.Volume, image, &o)
	}
	var create servers.CreateOptsBuilder = o
	if want.KeyName != "" {
		create = keypairs.CreateOptsExt{CreateOptsBuilder: create, KeyName: want.KeyName}
	}
	made, err := servers.Create(ctx, &compute, create, servers.SchedulerHintOpts{Group: want.GroupID}).Extract()
	if err != nil {
		return plan.Server{}, wrap(err, "create server %s", want.Name)
	}
	want.ID, want.State, want.Image.ID = made.ID, plan.ServerBuilding, image
	return want, nil
}

// imageMetadata remembers the image of an instance that boots from a volume.
const imageMetadata = "octavo_image"

// bootFrom has Nova make the volume, and delete it with the instance: there is no moment at which a volume could be left
// over. It answers the microversion that this takes.
func bootFrom(v plan.Volume, image string, o *servers.CreateOpts) (microversion string) {
	o.ImageRef, o.Metadata = "", map[string]string{imageMetadata: image}
	o.BlockDevice = []servers.BlockDevice{{SourceType: servers.SourceImage, UUID: image, DestinationType: servers.DestinationVolume,
		VolumeSize: v.GB, VolumeType: v.Type, DeleteOnTermination: true}}
	if v.Type != "" {
		return "2.67" // the first to know volume types
	}
	return ""
}

// DeleteServer deletes the instance with the id, and those of the name; it tells in State what is left: ServerGone, or
// ServerLeaving while the cloud is at it.
func (c *Client) DeleteServer(ctx context.Context, want plan.Server) (plan.Server, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return want, err
	}
	defer cancel()
	found, err := findServers(ctx, s.compute, want.Name)
	if err != nil {
		return want, err
	}
	if want.ID != "" && !slices.ContainsFunc(found, func(f plan.Server) bool { return f.ID == want.ID }) {
		found = append(found, plan.Server{ID: want.ID, Name: want.Name})
	}
	want.State = plan.ServerGone
	for _, f := range found {
		if err := deleteServer(ctx, s.compute, f); err != nil {
			return want, err
		}
		left, err := getServer(ctx, s.compute, f.ID)
		switch {
		case IsNotFound(err) || err == nil && left.State == plan.ServerGone:
		case err != nil:
			return want, err
		default:
			want.State = plan.ServerLeaving
		}
	}
	return want, nil
}

func deleteServer(ctx context.Context, compute *gophercloud.ServiceClient, s plan.Server) error {
	if s.State == plan.ServerLeaving {
		return nil
	}
	err := wrap(servers.Delete(ctx, compute, s.ID).ExtractErr(), "delete server %s", s.Name)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// AttachPort gives a port to an instance, unless it has it already.
func (c *Client) AttachPort(ctx context.Context, serverID, portID string) error {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	port, err := getPort(ctx, s.network, portID)
	if err != nil {
		return err
	}
	if port.DeviceID == serverID {
		return nil
	}
	o := attachinterfaces.CreateOpts{PortID: portID}
	return wrap(attachinterfaces.Create(ctx, s.compute, serverID, o).Err, "attach port %s to server %s", portID, serverID)
}

// DetachPort takes a port from an instance. It returns Conflict as long as the instance still has it.
func (c *Client) DetachPort(ctx context.Context, serverID, portID string) error {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	err = wrap(attachinterfaces.Delete(ctx, s.compute, serverID, portID).ExtractErr(), "detach port %s from server %s", portID, serverID)
	if err != nil && !IsNotFound(err) {
		return err
	}
	port, err := getPort(ctx, s.network, portID)
	if IsNotFound(err) {
		return nil
	}
	if err == nil && port.DeviceID == serverID {
		return &Error{Kind: Conflict, Doing: "detach port " + portID, Message: "server " + serverID + " still has it"}
	}
	return err
}
