package notify

import (
	"context"
	"encoding/json"
	"log/slog"
)

// Log writes notifications to the log, as oslo.messaging's driver "log" does.
type Log struct{ Logger *slog.Logger }

// Publish never fails.
func (l Log) Publish(ctx context.Context, text []byte) error {
	l.Logger.InfoContext(ctx, "notification", "message", json.RawMessage(text))
	return nil
}
