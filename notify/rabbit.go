package notify

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// RabbitOptions say where notifications are sent to, and how.
type RabbitOptions struct {
	Brokers
	// TLSConfig checks the brokers when they are spoken to over TLS; the system's authorities when nil.
	TLSConfig *tls.Config
	// Exchange is [DEFAULT] control_exchange; Topics are each sent to the queue TOPIC.info of it.
	Exchange string
	Topics   []string
	// Bare sends messages without oslo.messaging's envelope, as its driver "messaging" does.
	Bare bool
	// How exchange and queues are made if they are not there: as all services of a cloud must agree.
	Durable, AutoDelete, Quorum bool
	Heartbeat                   time.Duration // a minute when 0
}

// Rabbit publishes on a cluster of RabbitMQ. It connects when there is something to publish, to the node that served last
// or else the next one, and again after each failure. It is safe for concurrent use.
type Rabbit struct {
	options RabbitOptions
	mu      sync.Mutex
	current int // of options.Hosts
	link    *link
}

// link is a connection on which exchange and queues are known to be there.
type link struct {
	connection *amqp.Connection
	channel    *amqp.Channel
	returned   chan amqp.Return
}

// Times that a broker may take.
const (
	dialTimeout    = 10 * time.Second
	confirmTimeout = 30 * time.Second
)

// NewRabbit makes a publisher, which connects when it is used.
func NewRabbit(o RabbitOptions) *Rabbit {
	if o.Heartbeat <= 0 {
		o.Heartbeat = time.Minute
	}
	return &Rabbit{options: o}
}

// Publish sends a text that Text wrote to every topic. When it returns nil a broker has confirmed that it is in a queue.
func (r *Rabbit) Publish(ctx context.Context, text []byte) error {
	body := text
	if !r.options.Bare {
		var err error
		if body, err = envelope(text); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(ctx); err != nil {
		return err
	}
	for _, topic := range r.options.Topics {
		if err := r.publish(ctx, queueOf(topic), body); err != nil {
			r.drop()
			return fmt.Errorf("cannot send a notification to %s: %w", r.options.Hosts[r.current].Address, err)
		}
	}
	return nil
}

// Ready makes sure that there is a connection to publish on. One that is there is believed in until its heartbeats fail.
func (r *Rabbit) Ready(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready(ctx)
}

func (r *Rabbit) ready(ctx context.Context) error {
	if r.link != nil && !r.link.connection.IsClosed() {
		return nil
	}
	r.drop()
	return r.connect(ctx)
}

// Close ends the connection. The next Publish makes a new one.
func (r *Rabbit) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
}

func (r *Rabbit) drop() {
	if r.link != nil {
		_ = r.link.connection.CloseDeadline(time.Now().Add(time.Second))
		r.link = nil
	}
}

// envelope is version 2.0 of oslo.messaging's (oslo_messaging/_drivers/common.py).
func envelope(text []byte) ([]byte, error) {
	return json.Marshal(map[string]string{"oslo.version": "2.0", "oslo.message": string(text)})
}

// queueOf is where oslo.messaging's listeners for a topic look for notifications of this priority.
func queueOf(topic string) string { return topic + ".info" }

func (r *Rabbit) publish(ctx context.Context, queue string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	confirmation, err := r.link.channel.PublishWithDeferredConfirmWithContext(ctx, r.options.Exchange, queue, true, false, amqp.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, Body: body,
	})
	if err != nil {
		return err
	}
	confirmed, err := confirmation.WaitContext(ctx)
	if err != nil {
		return fmt.Errorf("it does not confirm: %w", err)
	}
	select {
	case back := <-r.link.returned: // before its confirmation, by the protocol
		return fmt.Errorf("it has no queue %s any more: %s", queue, back.ReplyText)
	default:
	}
	if !confirmed {
		return errors.New("it refused the message")
	}
	return nil
}

// connect tries every node once, beginning with the one that served last.
func (r *Rabbit) connect(ctx context.Context) error {
	var failed error
	for range r.options.Hosts {
		l, err := r.dial(ctx, r.options.Hosts[r.current])
		if err == nil {
			r.link = l
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("message broker %s: %w", r.options.Hosts[r.current].Address, err))
		r.current = (r.current + 1) % len(r.options.Hosts)
	}
	return failed
}

func (r *Rabbit) dial(ctx context.Context, h Host) (*link, error) {
	connection, err := r.signIn(ctx, h)
	if err != nil {
		return nil, err
	}
	l := &link{connection: connection}
	if err := l.prepare(&r.options); err != nil {
		_ = connection.CloseDeadline(time.Now().Add(time.Second))
		return nil, err
	}
	return l, nil
}

func (r *Rabbit) signIn(ctx context.Context, h Host) (*amqp.Connection, error) {
	scheme := "amqp"
	if r.options.TLS {
		scheme = "amqps"
	}
	return amqp.DialConfig(scheme+"://"+h.Address, amqp.Config{
		SASL:            []amqp.Authentication{&amqp.PlainAuth{Username: h.User, Password: h.Password.Reveal()}},
		Vhost:           r.options.VirtualHost,
		Heartbeat:       r.options.Heartbeat,
		TLSClientConfig: r.tlsFor(h),
		Properties:      amqp.Table{"product": "Octavo", "connection_name": "octavo notifications"},
		Dial:            func(network, address string) (net.Conn, error) { return dialTCP(ctx, network, address) },
	})
}

// dialTCP leaves a deadline for the handshakes of TLS and AMQP; the library takes it away after them.
func dialTCP(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (r *Rabbit) tlsFor(h Host) *tls.Config {
	if !r.options.TLS {
		return nil
	}
	config := &tls.Config{}
	if r.options.TLSConfig != nil {
		config = r.options.TLSConfig.Clone()
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(h.Address)
	}
	return config
}

// prepare makes exchange and queues as oslo.messaging's own notifier does, so that nothing is lost that is sent before
// somebody listens.
func (l *link) prepare(o *RabbitOptions) (err error) {
	if l.channel, err = l.connection.Channel(); err != nil {
		return err
	}
	l.returned = l.channel.NotifyReturn(make(chan amqp.Return, 1))
	durable := o.Durable || o.Quorum
	if err := l.channel.ExchangeDeclare(o.Exchange, amqp.ExchangeTopic, durable, o.AutoDelete, false, false, nil); err != nil {
		return explainDeclare("exchange "+o.Exchange, err)
	}
	for _, topic := range o.Topics {
		queue := queueOf(topic)
		if _, err := l.channel.QueueDeclare(queue, durable, o.AutoDelete, false, false, o.queueArguments()); err != nil {
			return explainDeclare("queue "+queue, err)
		}
		if err := l.channel.QueueBind(queue, queue, o.Exchange, false, nil); err != nil {
			return err
		}
	}
	return l.channel.Confirm(false)
}

func (o *RabbitOptions) queueArguments() amqp.Table {
	arguments := amqp.Table{}
	if o.Quorum {
		arguments["x-queue-type"] = "quorum"
	}
	return arguments
}

func explainDeclare(what string, err error) error {
	var refused *amqp.Error
	if errors.As(err, &refused) && refused.Code == amqp.PreconditionFailed {
		return fmt.Errorf("%s is there already and was made otherwise: [oslo_messaging_rabbit] amqp_durable_queues, amqp_auto_delete and "+
			"rabbit_quorum_queue must be what the other services have (%s)", what, refused.Reason)
	}
	return fmt.Errorf("cannot make %s: %w", what, err)
}
