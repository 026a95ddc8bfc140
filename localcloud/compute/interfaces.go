package compute

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/instance"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func (s *Service) listInterfaces(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	list := []any{}
	for _, p := range s.ports(v) {
		list = append(list, attachment(p))
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"interfaceAttachments": list})
}

func attachment(p Port) map[string]any {
	ips := []any{}
	for _, a := range p.Addresses {
		ips = append(ips, map[string]string{"subnet_id": a.SubnetID, "ip_address": a.Prefix.Addr().String()})
	}
	return map[string]any{"port_id": p.ID, "net_id": p.NetworkID, "mac_addr": p.MAC, "port_state": "ACTIVE", "fixed_ips": ips}
}

func (s *Service) showInterface(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, port, err := s.findInterface(r, who)
	if err != nil {
		return err
	}
	p, err := s.Network.Port(v.Nics[port].PortID)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"interfaceAttachment": attachment(p)})
}

func (s *Service) findInterface(r *http.Request, who httpx.Caller) (v server, index int, err error) {
	if v, err = s.find(r, who); err != nil {
		return v, -1, err
	}
	if index = v.nicOf(r.PathValue("port")); index < 0 {
		return v, -1, httpx.NotFound("", "Interface attachment for port %s on instance %s could not be found.", r.PathValue("port"), v.ID)
	}
	return v, index, nil
}

// attachInterface plugs a port while the server runs.
func (s *Service) attachInterface(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	var body struct {
		Attachment struct {
			PortID   string `json:"port_id"`
			NetID    string `json:"net_id"`
			FixedIPs []struct {
				IPAddress string `json:"ip_address"`
			} `json:"fixed_ips"`
		} `json:"interfaceAttachment"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	wish := PortRequest{PortID: body.Attachment.PortID, NetworkID: body.Attachment.NetID}
	if len(body.Attachment.FixedIPs) > 0 {
		wish.FixedIP = body.Attachment.FixedIPs[0].IPAddress
	}
	if wish.PortID == "" && wish.NetworkID == "" {
		return httpx.BadRequest("", "The interface needs a port_id or a net_id.")
	}
	port, err := s.attach(v.ID, wish)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"interfaceAttachment": attachment(port)})
}

func (s *Service) attach(id string, wish PortRequest) (Port, error) {
	unlock := s.locks.lock(id)
	defer unlock()
	v, err := state.Get[server](s.State, id)
	if err != nil || v.Deleting {
		return Port{}, httpx.NotFound("", "Instance %s could not be found.", id)
	}
	n := nic{Number: v.nextNic(), Request: wish}
	port, err := s.Network.AttachPort(httpx.Caller{UserID: v.UserID, ProjectID: v.ProjectID}, id, wish, v.portIDs())
	if err != nil {
		return Port{}, err
	}
	n.PortID = port.ID
	if err := s.change(id, func(v *server) { v.Nics = append(v.Nics, n) }); err != nil {
		return Port{}, err
	}
	if !instance.Running(s.dir(id)) {
		return port, nil // it is plugged when the server starts
	}
	ns, err := fabric.OpenNamespace(fabric.ServerNamespace(s.Tag, id))
	if err != nil {
		return Port{}, err
	}
	defer ns.Close()
	if err := s.Network.Plug(port.ID, ns, linkName(n)); err != nil {
		return Port{}, err
	}
	return port, s.refresh(id)
}

// refresh tells the running server what its interfaces are now.
func (s *Service) refresh(id string) error {
	v, err := state.Get[server](s.State, id)
	if err != nil {
		return err
	}
	if err := s.writeDrive(v); err != nil {
		return err
	}
	return instance.Reload(s.dir(id))
}

func (s *Service) detachInterface(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, index, err := s.findInterface(r, who)
	if err != nil {
		return err
	}
	if err := s.detach(v.ID, v.Nics[index]); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// detach gives the port back first, so that a kill in between leaves the record to be asked again.
func (s *Service) detach(id string, gone nic) error {
	unlock := s.locks.lock(id)
	defer unlock()
	if err := s.giveBack(id, gone); err != nil {
		return err
	}
	if err := s.change(id, func(v *server) {
		v.Nics = slices.DeleteFunc(v.Nics, func(n nic) bool { return n.PortID == gone.PortID })
	}); err != nil {
		return err
	}
	return s.refresh(id)
}
