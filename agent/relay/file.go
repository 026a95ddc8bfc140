package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// maxFile is how large a file becomes before it is renamed; one old file is kept.
const maxFile = 16 << 20

// logFile keeps lines in a file.
type logFile struct {
	dir, name string
	logger    *slog.Logger
	open      *os.File
}

func (f *logFile) run(ctx context.Context, lines <-chan line) {
	for l := range lines {
		if err := f.write(l); err != nil {
			f.logger.Warn("cannot write logs", "err", err)
			sleep(ctx, time.Second)
		}
	}
	if f.open != nil {
		f.open.Close()
	}
}

func (f *logFile) write(l line) error {
	path := filepath.Join(f.dir, f.name)
	if f.open == nil {
		if err := os.MkdirAll(f.dir, 0o700); err != nil {
			return err
		}
		var err error
		if f.open, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(f.open, "%s %s: %s\n", l.at.UTC().Format(time.RFC3339), l.program, l.text)
	if s, statErr := f.open.Stat(); statErr == nil && s.Size() > maxFile {
		err = errors.Join(err, f.open.Close(), os.Rename(path, path+".1"))
		f.open = nil
	}
	return err
}
