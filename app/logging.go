package app

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/octavo-lb/octavo/config"
)

// newLogger logs where [DEFAULT] says. reopen is for after a log file was renamed.
func newLogger(cfg *config.DefaultSection, stderr io.Writer) (log *slog.Logger, reopen func() error, err error) {
	out, reopen := stderr, func() error { return nil }
	if cfg.LogFile != "" {
		path := cfg.LogFile
		if cfg.LogDir != "" && !filepath.IsAbs(path) {
			path = filepath.Join(cfg.LogDir, path)
		}
		f := &logFile{path: path}
		if err := f.open(); err != nil {
			return nil, nil, err
		}
		out, reopen = f, f.open
	}
	level := slog.LevelInfo
	if cfg.Debug {
		level = slog.LevelDebug
	}
	if cfg.UseJSON {
		return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level})), reopen, nil
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})), reopen, nil
}

// logFile is a file that can be opened again under its name.
type logFile struct {
	path string
	mu   sync.Mutex
	file *os.File
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("cannot log to [DEFAULT] log_file: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file = f
	return nil
}

func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(line)
}

// silent is for what has nobody to tell.
func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
