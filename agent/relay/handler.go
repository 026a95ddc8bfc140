package relay

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// Handler makes a program's own messages, from Info on, lines of the admin log.
func (r *Relay) Handler(program string) slog.Handler {
	h := &handler{relay: r, program: program, shared: new(shared)}
	h.Handler = slog.NewTextHandler(&h.shared.text, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{} // every line has them already
		}
		return a
	}})
	return h
}

type handler struct {
	slog.Handler
	relay   *Relay
	program string
	shared  *shared
}

type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	h.shared.mu.Lock()
	defer h.shared.mu.Unlock()
	h.shared.text.Reset()
	if err := h.Handler.Handle(ctx, record); err != nil {
		return err
	}
	severity := Info
	switch {
	case record.Level >= slog.LevelError:
		severity = Error
	case record.Level >= slog.LevelWarn:
		severity = Warning
	}
	h.relay.Admin(h.program, severity, h.shared.text.String())
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithAttrs(attrs)
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithGroup(name)
	return &with
}
