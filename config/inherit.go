package config

import (
	"reflect"
	"strings"
)

// inherit completes the sections that take from others what they do not set themselves: auth_section names one to take
// all of the authentication from, [neutron] takes it from [service_auth], and older names count where newer ones are not
// set (octavia/common/keystone.py and handle_neutron_deprecations in octavia/common/config.py).
func (c *Config) inherit() {
	sections := map[string]*Auth{"keystone_authtoken": &c.KeystoneToken.Auth, "service_auth": &c.ServiceAuth.Auth, "neutron": &c.Neutron.Auth}
	for name, auth := range sections {
		if from := sections[normalSection(auth.AuthSection)]; from != nil && from != auth {
			c.takeOver(name, auth, normalSection(auth.AuthSection), from)
		}
	}
	c.takeOver("neutron", &c.Neutron.Auth, "service_auth", &c.ServiceAuth.Auth)
	n := &c.Neutron
	if n.CACertFile != "" && !c.IsSet("neutron", "cafile") {
		n.CAFile = n.CACertFile
	}
	if n.EndpointType != "" && len(n.ValidInterfaces) == 0 {
		n.ValidInterfaces = []string{strings.TrimSuffix(n.EndpointType, "URL")}
	}
}

func (c *Config) takeOver(to string, into *Auth, from string, source *Auth) {
	fields := reflect.ValueOf(into).Elem()
	for i, field := range reflect.VisibleFields(fields.Type()) {
		key := field.Tag.Get("key")
		if key == "auth_section" || c.IsSet(to, key) || !c.IsSet(from, key) {
			continue
		}
		fields.Field(i).Set(reflect.ValueOf(source).Elem().Field(i))
		c.set[nameKey(to, key)] = c.set[nameKey(from, key)]
	}
}
