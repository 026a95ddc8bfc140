package main

import (
	"strings"
	"testing"
)

func TestSubnetOfTheManagementNetwork(t *testing.T) {
	for text, refusal := range map[string]string{
		"": "", "172.16.0.0/22": "", "fd00:1:2:3::/64": "",
		"172.16.0.1/22": "first address", "172.16.0.0": "first address", "lan": "first address", "fd00::/48": "a /64", "172.16.0.0/30": "a /29 or larger",
	} {
		_, err := parsePrefix(text)
		if refusal == "" && err != nil || refusal != "" && (err == nil || !strings.Contains(err.Error(), refusal) || !strings.Contains(err.Error(), "--subnet "+text)) {
			t.Errorf("--subnet %q: %v, want %q", text, err, refusal)
		}
	}
}
