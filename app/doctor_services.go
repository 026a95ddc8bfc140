package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/notify"
	"github.com/octavo-lb/octavo/store"
)

// How long notifications may wait before it is spoken of. They are dropped after a week.
const (
	lateNews = 5 * time.Minute
	oldNews  = 3 * 24 * time.Hour
)

func (d *doctor) examineNotifications(c store.Census) {
	const what = "notifications"
	waited := d.now.Sub(c.OldestNotification)
	switch {
	case c.Notifications == 0:
		d.say(Fine, what, "", "none waits")
	case waited < lateNews:
		d.say(Fine, what, "", "%d wait, the first for %v", c.Notifications, max(0, waited).Round(time.Second))
	default:
		severity := Warning
		if waited > oldNews {
			severity = Failure
		}
		d.say(severity, what, "is the message broker well, and does a controller with the role housekeeping run that has a driver in [oslo_messaging_notifications]? "+
			"What has waited for a week is dropped", "%d wait, the first for %s", c.Notifications, age(waited))
	}
}

// examineBroker signs in at every message broker for notifications.
func (d *doctor) examineBroker(ctx context.Context, cfg *config.Config) {
	tell, err := newNotices(cfg, d.log)
	if err != nil {
		return // told of as a problem of the configuration
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	for _, p := range tell.publishers {
		rabbit, ok := p.(*notify.Rabbit)
		if !ok {
			continue
		}
		nodes := rabbit.Probe(ctx)
		reached := 0
		for _, n := range nodes {
			if n.Err == nil {
				reached++
			}
		}
		for _, n := range nodes {
			d.tellBroker(n, reached > 0)
		}
	}
}

func (d *doctor) tellBroker(n notify.Node, another bool) {
	const what = "message broker"
	switch {
	case n.Err != nil && another:
		d.say(Warning, what, "notifications go to another node meanwhile", "%s: %v", n.Address, n.Err)
	case n.Err != nil:
		d.say(Failure, what, "notifications wait in the database: is RabbitMQ running, and are account, virtual host and TLS in transport_url and [oslo_messaging_rabbit] right?",
			"%s: %v", n.Address, n.Err)
	case n.Mismatch != nil:
		d.say(Failure, what, "notifications wait in the database until this is put right", "%s: %v", n.Address, n.Mismatch)
	default:
		var queues []string
		for _, q := range n.Queues {
			queues = append(queues, fmt.Sprintf("; queue %s holds %d messages and has %d consumers", q.Name, q.Messages, q.Consumers))
		}
		d.say(Fine, what, "", "%s takes the account%s", n.Address, strings.Join(queues, ""))
	}
}

// examineVault asks everything that fetching a tenant's secret takes.
func (d *doctor) examineVault(ctx context.Context, cfg *config.Config) {
	const what = "key manager"
	vault, err := newVault(cfg, d.log)
	if err != nil {
		return // told of as a problem of the configuration
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s := vault.Probe(ctx)
	const meanwhile = "; what runs goes on with the secrets that it has, new listeners with certificates are refused meanwhile"
	switch {
	case d.failed(what, "check vault_url, ssl_ca_crt_file and namespace in [vault], and vault status"+meanwhile, s.Address):
	case d.failed(what, "make a new secret id of the role, or a new token, and write it into [vault]"+meanwhile, s.Account):
	case d.failed(what, "vault secrets list shows what there is"+meanwhile, s.Store):
	case s.Read != nil:
		d.say(Warning, what, "docs/secrets.md has the policy that the service's role needs", "%v", s.Read)
	default:
		d.say(Fine, what, "", "Vault %s at %s is unsealed, takes the account and lets the service read", s.Version, cfg.Vault.URL)
	}
}
