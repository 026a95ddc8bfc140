// Package instance is a server of localcloud: a process tree in namespaces of its own, with an init that plays the part of
// a virtual machine's firmware and operating system. It has a config drive at /mnt/config, finds its links by MAC, and
// runs one program: the amphora's agent, or a tiny web server to balance to.
//
// An instance outlives the process that started it. Its directory says all that is to be known about it:
//
//	drive/openstack/latest/   the config drive: meta_data.json, network_data.json, user_data
//	disk/                     what survives a reboot: /var/lib
//	console.log               what it printed
//	pid                       the init's process id and start time
//
// The instance sees the machine's file system read-only, with empty memory-backed directories where programs write and a
// /var/lib of its own, and sees nothing of the cloud's own data directory.
package instance

import "encoding/json"

// Spec is what an instance is made of.
type Spec struct {
	Dir      string   // the instance's directory
	Hostname string   // at most 63 characters
	Program  []string // what init runs and runs again when it ends, {"octavo-agent", ...}; WebProgram for the web server
	// FirstLinkOnly leaves all links but the first to the program, as an amphora's agent wants it.
	FirstLinkOnly bool
	Hide          []string // directories that the instance sees empty
}

// WebProgram is the Program of a server that answers its own name.
var WebProgram = []string{"web"}

// Drive is the content of a config drive.
type Drive struct {
	MetaData MetaData
	Network  NetworkData
	UserData []byte
}

// MetaData is OpenStack's meta_data.json, as far as programs here read it.
type MetaData struct {
	UUID             string            `json:"uuid"`
	Name             string            `json:"name"`
	Hostname         string            `json:"hostname"`
	ProjectID        string            `json:"project_id"`
	AvailabilityZone string            `json:"availability_zone"`
	LaunchIndex      int               `json:"launch_index"`
	Meta             map[string]string `json:"meta"`
}

// NetworkData is OpenStack's network_data.json.
type NetworkData struct {
	Links    []Link            `json:"links"`
	Networks []Network         `json:"networks"`
	Services []json.RawMessage `json:"services"`
}

// Link is one interface.
type Link struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	MAC  string `json:"ethernet_mac_address"`
	MTU  int    `json:"mtu"`
	VIF  string `json:"vif_id"`
}

// Network is one address of a link.
type Network struct {
	ID        string  `json:"id"`
	Link      string  `json:"link"`
	NetworkID string  `json:"network_id"`
	Type      string  `json:"type"` // ipv4, ipv6
	IPAddress string  `json:"ip_address"`
	Netmask   string  `json:"netmask"`
	Routes    []Route `json:"routes"`
}

// Route is one route of a network; the default route has the network 0.0.0.0 or ::.
type Route struct {
	Network string `json:"network"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
}
