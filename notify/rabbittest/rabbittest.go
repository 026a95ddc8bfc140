// Package rabbittest runs a RabbitMQ server for tests.
package rabbittest

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/octavo-lb/octavo/test/daemon"
)

// User, Password and VirtualHost are what the server lets in, with characters that a URL must escape (no slash: oslo.messaging cannot read that).
const (
	User        = "octavo"
	Password    = "p:w@rd%"
	VirtualHost = "cloud"
)

// Server is a running RabbitMQ of the test's own.
type Server struct {
	Port, TLSPort int
	dir           string
	daemon        *daemon.Daemon
}

// start runs the server as the first process of a namespace, with which all go that it starts: Erlang's port mapper would
// stay. Its own user cannot make one, so that it becomes that user inside.
const start = `exec unshare --pid --fork --kill-child=KILL sh -c 'setpriv --reuid rabbitmq --regid rabbitmq --clear-groups /usr/lib/rabbitmq/bin/rabbitmq-server; :'`

// Start starts a server; it is gone with the test. Certificate, if any, has the server's certificate and key in PEM, for TLS.
func Start(t testing.TB, certificate []byte) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "octavo-rabbitmq-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{dir: dir}
	for _, port := range []*int{&s.Port, &s.TLSPort} {
		if *port, err = daemon.FreePort(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.configure(certificate); err != nil {
		os.RemoveAll(dir)
		t.Fatal(err)
	}
	s.Start(t)
	t.Cleanup(func() { s.daemon.Close() })
	return s
}

func (s *Server) configure(certificate []byte) error {
	settings := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\ndefault_user = %s\ndefault_pass = %s\ndefault_vhost = %s\nlog.console = true\nlog.file = false\n",
		s.Port, User, Password, VirtualHost)
	if certificate != nil {
		pem := filepath.Join(s.dir, "server.pem")
		settings += fmt.Sprintf("listeners.ssl.1 = 127.0.0.1:%d\nssl_options.certfile = %s\nssl_options.keyfile = %s\n", s.TLSPort, pem, pem)
	}
	for name, content := range map[string]string{"rabbitmq.conf": settings, "plugins": "[].\n", "server.pem": string(certificate)} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	_, err := daemon.Identity(s.dir, "rabbitmq")
	return err
}

// Start starts a server that was stopped, on the same port with the same data, and waits until it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	inDir := func(name string) string { return filepath.Join(s.dir, name) }
	mapper, err := daemon.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	distribution, err := daemon.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s.daemon, err = daemon.Start(daemon.Options{Name: "rabbitmq", Dir: s.dir, Command: []string{"/bin/sh", "-c", start}, Signal: "KILL", Env: append(os.Environ(),
		"HOME="+s.dir, "TMPDIR="+s.dir, fmt.Sprintf("RABBITMQ_NODENAME=octavo%d@localhost", s.Port), fmt.Sprintf("RABBITMQ_DIST_PORT=%d", distribution),
		"RABBITMQ_MNESIA_BASE="+inDir("mnesia"), "RABBITMQ_LOG_BASE="+inDir("logs"), "RABBITMQ_PID_FILE="+inDir("pid"), "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_ENABLED_PLUGINS_FILE="+inDir("plugins"), "RABBITMQ_CONFIG_FILE="+inDir("rabbitmq.conf"), "RABBITMQ_GENERATED_CONFIG_DIR="+inDir("conf"),
		"RABBITMQ_SCHEMA_DIR="+inDir("schema"), "RABBITMQ_FEATURE_FLAGS_FILE="+inDir("feature_flags"),
		fmt.Sprintf("ERL_EPMD_PORT=%d", mapper), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}")})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		connection, err := s.connect()
		if err == nil {
			connection.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("RabbitMQ does not answer: %v\n%s", err, s.daemon.Log())
		}
	}
}

// Kill ends the server as a crash would and keeps its data.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	// Its namespace goes a moment later than the process that was killed.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port))
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("the killed RabbitMQ still listens")
		}
	}
}

// URL is the transport_url of the server; query may be empty.
func (s *Server) URL(query string) string {
	return "rabbit://" + s.Node(query != "") + "/" + VirtualHost + query
}

// Node is the server with its account, as a transport_url names each of several.
func (s *Server) Node(tls bool) string {
	port := s.Port
	if tls {
		port = s.TLSPort
	}
	return fmt.Sprintf("%s:%s@127.0.0.1:%d", User, strings.NewReplacer("%", "%25", "@", "%40", ":", "%3A").Replace(Password), port)
}

func (s *Server) connect() (*amqp.Connection, error) {
	return amqp.DialConfig(fmt.Sprintf("amqp://127.0.0.1:%d", s.Port), amqp.Config{
		SASL: []amqp.Authentication{&amqp.PlainAuth{Username: User, Password: Password}}, Vhost: VirtualHost, TLSClientConfig: &tls.Config{}})
}

// Take takes messages from a queue until n have come, and fails the test when they don't.
func (s *Server) Take(t testing.TB, queue string, n int) (bodies [][]byte) {
	t.Helper()
	connection, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	for deadline := time.Now().Add(time.Minute); len(bodies) < n; time.Sleep(20 * time.Millisecond) {
		channel, err := connection.Channel()
		if err != nil {
			t.Fatal(err)
		}
		for {
			m, ok, err := channel.Get(queue, true)
			if err != nil || !ok {
				break // there may be no queue yet
			}
			bodies = append(bodies, m.Body)
		}
		channel.Close()
		if time.Now().After(deadline) {
			t.Fatalf("%d messages came, want %d: %s", len(bodies), n, bodies)
		}
	}
	return bodies
}

// Purge takes all that there is in a queue and drops it.
func (s *Server) Purge(t testing.TB, queue string) {
	t.Helper()
	connection, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err == nil {
		_, err = channel.QueuePurge(queue, false)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// DeleteQueue deletes a queue, as an operator may.
func (s *Server) DeleteQueue(t testing.TB, queue string) {
	t.Helper()
	connection, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err == nil {
		_, err = channel.QueueDelete(queue, false, false, false)
	}
	if err != nil {
		t.Fatal(err)
	}
}
