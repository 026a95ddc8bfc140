package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Node is what Probe found out about one node of a cluster.
type Node struct {
	Address string
	// Err tells that it cannot be reached or lets nobody in; Mismatch that exchange or queues were made otherwise than they
	// would be here, so that nothing can be sent.
	Err, Mismatch error
	// Queues are those of the topics that are there. The others are made when something is sent.
	Queues []Queue
}

// Queue is how a topic's queue stands.
type Queue struct {
	Name                string
	Messages, Consumers int
}

// Probe signs in at every node and looks at exchange and queues. It makes nothing.
func (r *Rabbit) Probe(ctx context.Context) []Node {
	var nodes []Node
	for _, h := range r.options.Hosts {
		n := Node{Address: h.Address}
		connection, err := r.signIn(ctx, h)
		if err != nil {
			n.Err = err
		} else {
			n.Queues, n.Mismatch = lookAt(connection, &r.options)
			_ = connection.CloseDeadline(time.Now().Add(time.Second))
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func lookAt(connection *amqp.Connection, o *RabbitOptions) (queues []Queue, err error) {
	durable := o.Durable || o.Quorum
	there, err := declared(connection, func(c *amqp.Channel) error {
		return c.ExchangeDeclarePassive(o.Exchange, amqp.ExchangeTopic, durable, o.AutoDelete, false, false, nil)
	}, func(c *amqp.Channel) error {
		return c.ExchangeDeclare(o.Exchange, amqp.ExchangeTopic, durable, o.AutoDelete, false, false, nil)
	})
	if err != nil {
		return nil, explainDeclare("exchange "+o.Exchange, err)
	}
	if !there {
		return nil, nil
	}
	for _, topic := range o.Topics {
		var q amqp.Queue
		name, arguments := queueOf(topic), o.queueArguments()
		there, err := declared(connection, func(c *amqp.Channel) (err error) {
			q, err = c.QueueDeclarePassive(name, durable, o.AutoDelete, false, false, arguments)
			return err
		}, func(c *amqp.Channel) error {
			_, err := c.QueueDeclare(name, durable, o.AutoDelete, false, false, arguments)
			return err
		})
		if err != nil {
			return queues, explainDeclare("queue "+name, err)
		}
		if there {
			queues = append(queues, Queue{name, q.Messages, q.Consumers})
		}
	}
	return queues, nil
}

// declared tells whether something is there. What is there is declared once more, which changes nothing and fails when it was
// made otherwise: a passive declaration goes by the name only.
func declared(connection *amqp.Connection, passively, really func(*amqp.Channel) error) (bool, error) {
	err := onChannel(connection, passively)
	var refused *amqp.Error
	if errors.As(err, &refused) && refused.Code == amqp.NotFound {
		return false, nil
	}
	if err == nil {
		err = onChannel(connection, really)
	}
	return true, err
}

// onChannel does something on a channel of its own, for a broker closes one on which something was refused.
func onChannel(connection *amqp.Connection, do func(*amqp.Channel) error) error {
	channel, err := connection.Channel()
	if err != nil {
		return fmt.Errorf("cannot open a channel: %w", err)
	}
	defer channel.Close()
	return do(channel)
}
