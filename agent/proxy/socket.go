package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// maxAnswer bounds what a command may print: `show stat` takes about 500 bytes per server.
const maxAnswer = 64 << 20

// command gives one command to one of HAProxy's sockets and returns what it printed.
func command(ctx context.Context, socket, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return "", fmt.Errorf("asking HAProxy to %q: %w", line, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", fmt.Errorf("asking HAProxy to %q: %w", line, err)
	}
	// The master would wait for another command.
	if err := conn.CloseWrite(); err != nil {
		return "", fmt.Errorf("asking HAProxy to %q: %w", line, err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("asking HAProxy to %q: %w", line, err)
	}
	return string(answer), nil
}

// errSilent is that a process of HAProxy does not answer.
var errSilent = errors.New("HAProxy does not answer")

// ask gives commands, each of which prints something that has no empty line in it, and returns what each printed, as of one
// moment. The error is errSilent if there is no such answer.
func ask(ctx context.Context, socket string, commands ...string) ([]string, error) {
	text, err := command(ctx, socket, strings.Join(commands, ";"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	answers := strings.Split(strings.TrimSpace(text), "\n\n")
	if len(answers) != len(commands) {
		return nil, fmt.Errorf("%w: it says %d things to %d questions", errSilent, len(answers), len(commands))
	}
	return answers, nil
}

// order gives a command whose success HAProxy tells by printing nothing, or a short confirmation.
func order(ctx context.Context, socket, line string) error {
	answer, err := command(ctx, socket, line)
	if err != nil {
		return err
	}
	switch answer = strings.TrimSpace(answer); answer {
	case "", "New server registered.", "Server deleted.", "No such server.":
		return nil
	}
	return fmt.Errorf("HAProxy refuses to %q: %s", line, answer)
}
