package agent

import (
	"context"
	"path/filepath"

	"github.com/octavo-lb/octavo/haproxy"
)

// relayFlow takes in HAProxy's lines about requests and connections.
func (a *Agent) relayFlow(ctx context.Context) {
	if err := a.relay.Listen(ctx, filepath.Join(a.config.RunDir, haproxy.FlowSocket)); err != nil {
		a.config.Logger.Error("requests are not logged", "err", err)
	}
}

// relayKernel takes in the kernel's messages, on a machine of its own.
func (a *Agent) relayKernel(ctx context.Context) {
	if a.kernel == nil {
		return
	}
	if err := a.relay.Kernel(ctx, a.kernel); err != nil {
		a.config.Logger.Error("the kernel's messages are not logged", "err", err)
	}
}
