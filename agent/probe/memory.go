package probe

import (
	"encoding/json"
	"fmt"
	"os"
)

// remembered is a verdict in a file.
type remembered struct {
	Key     Key     `json:"key"`
	Monitor string  `json:"monitor"`
	Verdict Verdict `json:"verdict"`
}

// Save writes what is known to a file, for a prober that comes after this one.
func (p *Prober) Save(path string) error {
	p.mu.Lock()
	var all []remembered
	for t, c := range p.running {
		if v := c.read(); v.Known {
			all = append(all, remembered{t.Key, t.Monitor, v})
		}
	}
	p.mu.Unlock()
	text, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("storing what checks found: %w", err)
	}
	return nil
}

// Load begins with what another prober knew, where the same monitor checks the same member still. Without a file, or with
// one that is damaged, everything is found out anew.
func (p *Prober) Load(path string) {
	text, err := os.ReadFile(path)
	var all []remembered
	if err != nil || json.Unmarshal(text, &all) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = map[Key]remembered{}
	for _, r := range all {
		p.before[r.Key] = r
	}
}
