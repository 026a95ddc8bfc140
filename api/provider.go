package api

import (
	"encoding/json"
	"slices"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
)

// Provider is a data plane by the name that users choose it by.
type Provider struct {
	Name        string
	Description string
	Can         lb.Capabilities
	// FlavorSettings and ZoneSettings are what flavor and availability zone profiles may say to it.
	FlavorSettings, ZoneSettings []Setting
	// AnySetting lets profiles say more than that.
	AnySetting bool
}

// Setting is one thing that a profile may say.
type Setting struct {
	Name        string
	Description string
	Type        attr.Type // String, Boolean or Strings
	Enum        []string  // the values there are, nil for any
}

// AmphoraFlavorSettings and AmphoraZoneSettings are those of our own data plane; names are Octavia's
// (octavia/api/drivers/amphora_driver/flavor_schema.py and availability_zone_schema.py).
func AmphoraFlavorSettings() []Setting {
	return []Setting{
		{"loadbalancer_topology", "How many amphorae serve a load balancer: SINGLE for one, ACTIVE_STANDBY for two.", attr.String, []string{"SINGLE", "ACTIVE_STANDBY"}},
		{"compute_flavor", "The ID of the compute flavor of amphorae.", attr.String, nil},
		{"amp_image_tag", "The tag by which the amphora image is found.", attr.String, nil},
		{"sriov_vip", "Whether the VIP port is made from an SR-IOV virtual function.", attr.Boolean, nil},
		{"allow_member_sriov", "Whether users may ask for SR-IOV ports towards members.", attr.Boolean, nil},
	}
}

func AmphoraZoneSettings() []Setting {
	return []Setting{
		{"compute_zone", "The compute availability zone of amphorae.", attr.String, nil},
		{"volume_zone", "The availability zone of amphorae's volumes.", attr.String, nil},
		{"management_network", "The ID of the management network of amphorae.", attr.String, nil},
		{"valid_vip_networks", "The IDs of the networks that VIPs may be on, in place of those in the configuration.", attr.Strings, nil},
	}
}

// provider finds an enabled provider.
func (s *Server) provider(name string) (*Provider, error) {
	i := slices.IndexFunc(s.Providers, func(p Provider) bool { return p.Name == name })
	if i < 0 {
		return nil, lb.Refuse(lb.InvalidOption, "Provider '%s' is not enabled.", name)
	}
	return &s.Providers[i], nil
}

// checkSettings reads a profile's data as the provider would.
func (s *Server) checkSettings(provider, member, data string, known func(*Provider) []Setting) error {
	var said map[string]json.RawMessage
	if json.Unmarshal([]byte(data), &said) != nil || said == nil {
		return lb.Refuse(lb.InvalidOption, "%s is not a valid option for %s", data, member)
	}
	p, err := s.provider(provider)
	if err != nil || p.AnySetting {
		return err
	}
	for name, raw := range said {
		i := slices.IndexFunc(known(p), func(k Setting) bool { return k.Name == name })
		if i < 0 || !known(p)[i].takes(raw) {
			return lb.Refuse(lb.NotProvided, "Provider '%s' does not support a requested option: %s %s", p.Name, name, raw)
		}
	}
	return nil
}

func (k Setting) takes(raw json.RawMessage) bool {
	switch k.Type {
	case attr.Boolean:
		var b *bool
		return json.Unmarshal(raw, &b) == nil && b != nil
	case attr.Strings:
		var list []string
		return json.Unmarshal(raw, &list) == nil && list != nil
	}
	var s *string
	return json.Unmarshal(raw, &s) == nil && s != nil && (k.Enum == nil || slices.Contains(k.Enum, *s))
}

func (s *Server) listProviders(c *call) error {
	if err := s.allow(c, "provider", policy.List, c.who.ProjectID); err != nil {
		return err
	}
	described := make([]Setting, len(s.Providers))
	for i, p := range s.Providers {
		described[i] = Setting{Name: p.Name, Description: p.Description}
	}
	return s.writeDescribed(c, "providers", described)
}

// listSettings answers with what profiles may say to a provider.
func (s *Server) listSettings(resource, member string, known func(*Provider) []Setting) handler {
	return func(c *call) error {
		if err := s.allow(c, resource, policy.List, c.who.ProjectID); err != nil {
			return err
		}
		p, err := s.provider(c.PathValue("provider"))
		if err != nil {
			return err
		}
		query := c.URL.Query()
		list := slices.DeleteFunc(slices.Clone(known(p)), func(k Setting) bool {
			return query.Has("name") && query.Get("name") != k.Name || query.Has("description") && query.Get("description") != k.Description
		})
		return s.writeDescribed(c, member, list)
	}
}

func (s *Server) writeDescribed(c *call, member string, list []Setting) error {
	only := s.fieldsOf(c)
	b := append(attr.AppendName([]byte{'{'}, member), '[')
	for _, k := range list {
		b = append(b, '{')
		for _, m := range [][2]string{{"name", k.Name}, {"description", k.Description}} {
			if only == nil || only(m[0]) {
				b = append(attr.AppendString(attr.AppendName(b, m[0]), m[1]), ',')
			}
		}
		b = append(attr.Close(b, '}'), ',')
	}
	return c.write(200, append(attr.Close(b, ']'), '}'))
}
