package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// RolloutOptions are the flags of a rollout.
type RolloutOptions struct {
	Account
	Parallel     int
	Show, NoWait bool // only show how far it is; start it and do not follow it
	Stop         bool
	Out          io.Writer
}

// rolloutView is a rollout as the API shows it.
type rolloutView struct {
	State       string   `json:"state"`
	Reason      string   `json:"reason"`
	Parallel    int      `json:"parallel"`
	UnderWay    []string `json:"under_way"`
	Done        int      `json:"done"`
	Outstanding int      `json:"outstanding"`
	LeftOut     int      `json:"left_out"`
}

// rolloutClient calls the API about rollouts of one kind.
type rolloutClient struct {
	balancers *gophercloud.ServiceClient
	kind      string
}

func (c rolloutClient) url() string {
	return c.balancers.ServiceURL("octavia", "rollouts", c.kind)
}

func (c rolloutClient) call(ctx context.Context, method string, body any, status int) (view rolloutView, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var answer struct{ Rollout rolloutView }
	o := gophercloud.RequestOpts{OkCodes: []int{status}, JSONBody: body}
	if status != http.StatusNoContent {
		o.JSONResponse = &answer
	}
	_, err = c.balancers.Request(ctx, method, c.url(), &o)
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		return view, errors.New("there was no rollout yet")
	case gophercloud.ResponseCodeIs(err, http.StatusForbidden):
		return view, errors.New("the account may not replace amphorae: it needs the role admin or load-balancer_admin")
	case err != nil:
		return view, fmt.Errorf("the load balancing service does not take it: %w", err)
	}
	return answer.Rollout, nil
}

// RolloutImage has the controllers replace all amphorae that do not run the newest image, and shows how they get on. When
// this program ends early they go on; calling it again shows how far they are.
func RolloutImage(ctx context.Context, o RolloutOptions) error {
	s, err := o.signIn(ctx)
	if err != nil {
		return err
	}
	balancers, err := s.balancers()
	if err != nil {
		return err
	}
	return rolloutClient{balancers, "image"}.carryOut(ctx, o)
}

func (c rolloutClient) carryOut(ctx context.Context, o RolloutOptions) error {
	switch {
	case o.Stop:
		if _, err := c.call(ctx, http.MethodDelete, nil, http.StatusNoContent); err != nil {
			return err
		}
		fmt.Fprintln(o.Out, "Stopped. What is under way is brought to its end.")
		return nil
	case o.Show:
		view, err := c.call(ctx, http.MethodGet, nil, http.StatusOK)
		if err == nil {
			fmt.Fprintln(o.Out, view)
		}
		return err
	}
	body := map[string]any{"rollout": map[string]int{"parallel": o.Parallel}}
	if _, err := c.call(ctx, http.MethodPut, body, http.StatusAccepted); err != nil || o.NoWait {
		return err
	}
	return c.follow(ctx, o.Out)
}

// follow shows every change until the rollout is over.
func (c rolloutClient) follow(ctx context.Context, out io.Writer) error {
	shown := ""
	for {
		view, err := c.call(ctx, http.MethodGet, nil, http.StatusOK)
		switch {
		case err != nil && ctx.Err() == nil && shown == "":
			return err
		case err == nil && view.String() != shown:
			shown = view.String()
			fmt.Fprintln(out, time.Now().Format(time.TimeOnly), shown)
		}
		if err == nil && view.State != "running" {
			return view.failure()
		}
		select {
		case <-ctx.Done():
			fmt.Fprintln(out, "The controllers go on with it; --show tells how far it is, --stop stops it.")
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (v rolloutView) String() string {
	text := fmt.Sprintf("%s: %d load balancers done, %d under way, %d outstanding", v.State, v.Done, len(v.UnderWay), v.Outstanding)
	if v.LeftOut > 0 {
		text += fmt.Sprintf(" (%d of them left out: they are in ERROR, or cannot)", v.LeftOut)
	}
	return text
}

func (v rolloutView) failure() error {
	switch v.State {
	case "failed":
		return fmt.Errorf("a replacement failed, and no others are started; what serves goes on.\n%s", v.Reason)
	case "stopped":
		return errors.New("somebody stopped it")
	}
	return nil
}
