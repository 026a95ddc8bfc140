package compute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/instance"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// locks is a mutex for each server.
type locks struct {
	mu   sync.Mutex
	held map[string]*sync.Mutex
}

func newLocks() locks { return locks{held: map[string]*sync.Mutex{}} }

// lock waits for the server's mutex and answers how to give it back.
func (l *locks) lock(id string) func() {
	l.mu.Lock()
	m := l.held[id]
	if m == nil {
		m = &sync.Mutex{}
		l.held[id] = m
	}
	l.mu.Unlock()
	m.Lock()
	return m.Unlock
}

func (l *locks) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, id)
}

// Start makes every server what it shall be, in the background, from now until ctx ends: running ones are found again,
// those that a kill left half made are finished, and those that ended with the machine are started.
func (s *Service) Start(ctx context.Context) {
	s.ctx = ctx
	for _, v := range state.List[server](s.State, nil) {
		s.background(func() { s.converge(v.ID) })
	}
}

// Wait returns when nothing is being done to servers any more. The context of Start must have ended.
func (s *Service) Wait() { s.work.Wait() }

func (s *Service) background(f func()) <-chan struct{} {
	done := make(chan struct{})
	s.work.Go(func() {
		defer close(done)
		f()
	})
	return done
}

func (s *Service) dir(id string) string { return filepath.Join(s.Dir, id) }

// converge makes the server what its record says. It is called after every change of the record, and may always be.
func (s *Service) converge(id string) {
	unlock := s.locks.lock(id)
	defer unlock()
	if s.ctx.Err() != nil {
		return
	}
	v, err := state.Get[server](s.State, id)
	if err != nil {
		return
	}
	switch {
	case v.Deleting:
		err = s.remove(v)
	case v.Stopped:
		err = s.halt(v)
	case instance.Running(s.dir(id)):
		err = s.adopt(v)
	default:
		err = s.build(v)
	}
	if err == nil {
		return
	}
	s.Logger.Error("server failed", "server", v.ID, "name", v.Name, "err", err)
	if v.Deleting {
		s.later(5*time.Second, id)
		return
	}
	if err := s.change(id, func(v *server) { v.Status, v.Fault = Failed, err.Error() }); err != nil {
		s.Logger.Error("cannot store a server's failure", "server", v.ID, "err", err)
	}
}

// later converges after a while, unless ctx ends before.
func (s *Service) later(after time.Duration, id string) {
	s.background(func() {
		select {
		case <-time.After(after):
			s.converge(id)
		case <-s.ctx.Done():
		}
	})
}

// build makes the ports that are missing, and a namespace, the wires, the drive and the instance anew.
func (s *Service) build(v server) error {
	s.builds <- struct{}{}
	defer func() { <-s.builds }()
	v, err := s.attachPorts(v)
	if err != nil {
		return err
	}
	if err := s.writeDrive(v); err != nil {
		return err
	}
	ns, err := s.wire(v)
	if err != nil {
		return err
	}
	defer ns.Close()
	var ended <-chan struct{}
	err = ns.Do(func() error {
		var err error
		ended, err = instance.Start(s.spec(v))
		return err
	})
	if err != nil {
		return err
	}
	s.watch(v.ID, ended)
	if err := s.settle(v); err != nil {
		return err
	}
	return s.launched(v)
}

// wire makes a new namespace and plugs the ports there. What an earlier instance left must go first: its links may be in
// namespaces that it made itself, which the kernel takes down after the instance, some time.
func (s *Service) wire(v server) (*fabric.Namespace, error) {
	if err := s.unwire(v); err != nil {
		return nil, err
	}
	ns, _, err := fabric.EnsureNamespace(fabric.ServerNamespace(s.Tag, v.ID))
	if err != nil {
		return nil, err
	}
	for _, n := range v.Nics {
		if err := s.Network.Plug(n.PortID, ns, linkName(n)); err != nil {
			ns.Close()
			return nil, err
		}
	}
	return ns, nil
}

func (s *Service) unwire(v server) error {
	for _, n := range v.Nics {
		if n.PortID == "" {
			continue
		}
		if err := s.Network.Unplug(n.PortID); err != nil {
			return err
		}
	}
	return fabric.RemoveNamespace(fabric.ServerNamespace(s.Tag, v.ID))
}

// settle waits until packets flow on the links that init has brought up, so that ACTIVE means reachable.
func (s *Service) settle(v server) error {
	for i, n := range v.Nics {
		if i > 0 && s.spec(v).FirstLinkOnly {
			break
		}
		if err := s.Network.Settle(n.PortID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) launched(v server) error {
	now := s.Clock().UTC()
	return s.change(v.ID, func(v *server) {
		v.Status, v.Fault = Active, ""
		if v.Launched == nil {
			v.Launched = &now
		}
	})
}

// attachPorts gets the ports that are missing; one that somebody deleted since is a link less. The record holds each port
// as soon as it is there.
func (s *Service) attachPorts(v server) (server, error) {
	gone := func(n nic) bool {
		if n.PortID == "" {
			return false
		}
		_, err := s.Network.Port(n.PortID)
		return errors.Is(err, state.ErrNotFound)
	}
	if slices.ContainsFunc(v.Nics, gone) {
		v.Nics = slices.DeleteFunc(v.Nics, gone)
		if err := s.change(v.ID, func(now *server) { now.Nics = v.Nics }); err != nil {
			return v, err
		}
	}
	owner := httpx.Caller{UserID: v.UserID, ProjectID: v.ProjectID}
	for i, n := range v.Nics {
		if n.PortID != "" {
			continue
		}
		port, err := s.Network.AttachPort(owner, v.ID, n.Request, v.portIDs())
		if err != nil {
			return v, err
		}
		v.Nics[i].PortID = port.ID
		if err := s.change(v.ID, func(v *server) { v.Nics[i].PortID = port.ID }); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (s *Service) spec(v server) instance.Spec {
	program := s.Programs[v.Program]
	return instance.Spec{
		Dir: s.dir(v.ID), Hostname: hostname(v.Name), Program: program,
		FirstLinkOnly: len(program) > 0 && program[0] != instance.WebProgram[0],
		Hide:          s.Hide,
	}
}

func (s *Service) adopt(v server) error {
	ended, err := instance.Adopt(s.dir(v.ID))
	if err != nil {
		return err
	}
	s.watch(v.ID, ended)
	if v.Status == Active {
		return nil
	}
	return s.launched(v)
}

// shortLife is how long an instance must have lived to be started again at once; the machine has better things to do than
// to boot what crashes.
const shortLife = 2 * time.Second

// watch starts the server again when its instance ends by itself.
func (s *Service) watch(id string, ended <-chan struct{}) {
	began := time.Now()
	s.background(func() {
		select {
		case <-ended:
		case <-s.ctx.Done():
			return
		}
		if time.Since(began) < shortLife {
			s.later(time.Second, id)
			return
		}
		s.converge(id)
	})
}

func (s *Service) halt(v server) error {
	if err := instance.Kill(s.ctx, s.dir(v.ID)); err != nil {
		return err
	}
	if err := s.unwire(v); err != nil {
		return err
	}
	return s.change(v.ID, func(v *server) { v.Status = Shutoff })
}

// remove takes everything away and the record last, so that a kill in between leaves something to go on with.
func (s *Service) remove(v server) error {
	if err := instance.Kill(s.ctx, s.dir(v.ID)); err != nil {
		return err
	}
	for _, n := range v.Nics {
		if n.PortID == "" {
			continue
		}
		if err := s.giveBack(v.ID, n); err != nil {
			return err
		}
	}
	if err := fabric.RemoveNamespace(fabric.ServerNamespace(s.Tag, v.ID)); err != nil {
		return err
	}
	if err := os.RemoveAll(s.dir(v.ID)); err != nil {
		return err
	}
	if err := s.State.Delete(v); err != nil {
		return err
	}
	s.locks.forget(v.ID)
	return nil
}

// giveBack unplugs a port and deletes it if it was made for the server.
func (s *Service) giveBack(id string, n nic) error {
	if err := s.Network.Unplug(n.PortID); err != nil {
		return err
	}
	if n.Request.PortID != "" {
		return s.Network.ReleasePort(id, n.PortID)
	}
	return s.Network.RemovePort(n.PortID)
}

func linkName(n nic) string { return fmt.Sprintf("eth%d", n.Number) }

// hostname makes a host name of a server's name.
func hostname(name string) string {
	b := []byte(name)
	for i, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.':
		default:
			b[i] = '-'
		}
	}
	return string(b[:min(len(b), 63)])
}

// writeDrive describes the server as it is now on its config drive.
func (s *Service) writeDrive(v server) error {
	d := instance.Drive{
		UserData: v.UserData,
		MetaData: instance.MetaData{UUID: v.ID, Name: v.Name, Hostname: hostname(v.Name), ProjectID: v.ProjectID,
			AvailabilityZone: v.Zone, Meta: v.Metadata},
	}
	routed := map[bool]bool{} // by family: the first link that has a gateway has the default route
	for _, n := range v.Nics {
		port, err := s.Network.Port(n.PortID)
		if errors.Is(err, state.ErrNotFound) {
			continue // somebody deleted it
		}
		if err != nil {
			return err
		}
		link := linkName(n)
		d.Network.Links = append(d.Network.Links, instance.Link{ID: link, Type: "bridge", MAC: port.MAC, MTU: port.MTU, VIF: port.ID})
		for _, a := range port.Addresses {
			var routes []instance.Route
			for _, r := range a.Routes {
				routes = append(routes, instance.RouteTo(r.Destination, r.NextHop))
			}
			if routed[a.Prefix.Addr().Is6()] {
				a.Gateway = netip.Addr{}
			}
			routed[a.Prefix.Addr().Is6()] = routed[a.Prefix.Addr().Is6()] || a.Gateway.IsValid()
			d.Network.AddNetwork(link, port.NetworkID, a.Prefix, a.Gateway, routes)
		}
	}
	return instance.WriteDrive(s.dir(v.ID), d)
}
