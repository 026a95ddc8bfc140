package provider

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxMessage is more than statuses of ten thousand members need.
	maxMessage = 8 << 20
	// maxLength is the longest line that tells a message's length.
	maxLength = 20
	// maxAtOnce is how many requests of one kind are worked on; further ones wait.
	maxAtOnce   = 50
	timeout     = 5 * time.Second
	workTimeout = 30 * time.Second // after which octavia-lib does not wait any more
	// socketMode lets the process's user and group connect.
	socketMode = 0o660
)

// door is one socket. A connection carries one request and its answer, each as its length in a line and JSON of that
// length.
type door struct {
	key    string
	socket Socket
	// answer answers a request; nil for not at all, as Octavia does when it cannot read one.
	answer func(ctx context.Context, request []byte) any

	listener *net.UnixListener
	closing  sync.Once
}

// open makes the socket where nobody can connect yet, and moves it to its place: it is never there with other rights than
// its own, and a socket that a killed process left is replaced.
func (d *door) open() error {
	path := d.socket.Path
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return fmt.Errorf("another program answers at %s already", path)
	}
	private, err := os.MkdirTemp(filepath.Dir(path), ".octavo-")
	if err != nil {
		return fmt.Errorf("cannot make a socket: %w", err)
	}
	defer os.RemoveAll(private)
	fresh := filepath.Join(private, "s")
	if d.listener, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fresh}); err != nil {
		return err
	}
	d.listener.SetUnlinkOnClose(false)
	err = os.Chmod(fresh, socketMode)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		d.listener.Close()
	}
	return err
}

func (d *door) close() {
	d.closing.Do(func() {
		_ = os.Remove(d.socket.Path)
		d.listener.Close()
	})
}

func (d *door) serve(ctx context.Context, log *slog.Logger) error {
	defer context.AfterFunc(ctx, d.close)()
	defer d.close()
	var busy sync.WaitGroup
	defer busy.Wait()
	slots := make(chan struct{}, maxAtOnce)
	for {
		c, err := d.listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case err != nil:
			return fmt.Errorf("[driver_agent] %s: %w", d.key, err)
		}
		slots <- struct{}{}
		busy.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			if err := d.converse(context.WithoutCancel(ctx), c); err != nil {
				log.Info("a provider's request came to nothing", "socket", d.socket.Path, "err", err)
			}
		})
	}
}

func (d *door) converse(ctx context.Context, c net.Conn) error {
	patience := d.socket.Timeout
	if patience <= 0 {
		patience = timeout
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	request, err := receive(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	said := d.answer(ctx, request)
	if said == nil {
		return nil
	}
	text, err := json.Marshal(said)
	if err != nil {
		return fmt.Errorf("cannot write an answer: %w", err)
	}
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err = c.Write(append(fmt.Appendln(nil, len(text)), text...))
	return err
}

func receive(c io.Reader) ([]byte, error) {
	r := bufio.NewReaderSize(c, 64<<10)
	var line []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("no message's length arrived: %w", err)
		}
		if b == '\n' {
			break
		}
		if line = append(line, b); len(line) > maxLength {
			return nil, errors.New("a message does not begin with its length in a line")
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(line)))
	if err != nil || n < 0 {
		return nil, fmt.Errorf("%q is not the length of a message", line)
	}
	if n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes is longer than %d", n, maxMessage)
	}
	// What is announced need not come: memory is taken for what has come.
	message, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(message) < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("a message of %d bytes did not arrive: %w", n, err)
	}
	return message, nil
}
