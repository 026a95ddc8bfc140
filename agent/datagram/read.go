package datagram

import (
	"time"

	"github.com/octavo-lb/octavo/firewall"
)

// countShare is which part of the time may be spent on counting flows: a table of millions is read less often.
const countShare = 20

// read takes in the listeners' counters, and the flows that there are unless they were counted just now.
func (p *Plane) read(now bool) error {
	counters, err := p.kernel.counters()
	if err != nil {
		return err
	}
	if now || time.Now().After(p.countAt) {
		if err := p.count(); err != nil {
			return err
		}
	}
	readings := map[string]Reading{}
	for _, l := range p.rules.Listeners() {
		total, in, out := firewall.Counter(l)
		if _, there := counters[total]; !there {
			// Somebody emptied the kernel's rules. What is there now will be looked up.
			p.rules, p.readings = nil, nil
			return nil
		}
		readings[l] = Reading{Total: counters[total].packets, BytesIn: counters[in].bytes, BytesOut: counters[out].bytes}
	}
	for path, n := range p.flows {
		if r, there := readings[path.Listener]; there {
			r.Flows += int64(n)
			readings[path.Listener] = r
		}
	}
	p.readings = readings
	return nil
}

// count counts flows by path. One that should have been cut is cut now: its first packet may have met the old rules.
func (p *Plane) count() error {
	start := time.Now()
	flows, strays := map[firewall.Path]int{}, 0
	err := p.kernel.flows(func(f firewall.Flow) {
		switch path, fate := p.rules.Judge(f); fate {
		case firewall.Kept:
			flows[path]++
		case firewall.Cut:
			strays++
		}
	})
	if err != nil {
		return err
	}
	p.flows = flows
	p.countAt = time.Now().Add(countShare*time.Since(start) - lookInterval/2)
	if strays > 0 {
		return p.cut()
	}
	return nil
}
