package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ErrNotOurs tells that the kernel belongs to others, too.
var ErrNotOurs = errors.New("the kernel is shared with others, whose messages are no business of this load balancer")

// firstPIDs is the kernel's number of the namespace of processes that a machine begins with (PROC_PID_INIT_INO).
const firstPIDs = "pid:[4026531836]"

// OpenKernel opens the kernel's messages, from now on. It fails with ErrNotOurs in a container.
func OpenKernel() (*os.File, error) {
	if namespace, err := os.Readlink("/proc/self/ns/pid"); err != nil || namespace != firstPIDs {
		return nil, ErrNotOurs
	}
	f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the kernel's messages: %w", err)
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		f.Close()
		return nil, fmt.Errorf("opening the kernel's messages: %w", err)
	}
	return f, nil
}

// Kernel takes in the kernel's messages until the context ends, and closes the file.
func (r *Relay) Kernel(ctx context.Context, f *os.File) error {
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	buffer := make([]byte, 8<<10)
	for {
		n, err := f.Read(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.EPIPE): // some were overwritten before they were read
			continue
		case err != nil:
			return fmt.Errorf("reading the kernel's messages: %w", err)
		}
		if l, ok := parseKernel(string(buffer[:n])); ok {
			r.fromKernel(l)
		}
	}
}

func (r *Relay) fromKernel(l line) {
	r.mu.Lock()
	wanted := r.kernel
	r.mu.Unlock()
	if wanted {
		r.take(&r.admin, l)
	}
}

// parseKernel reads one message of /dev/kmsg: PRIORITY,NUMBER,TIME,FLAGS;TEXT and lines of details below it.
func parseKernel(message string) (line, bool) {
	head, text, ok := strings.Cut(message, ";")
	number, _, _ := strings.Cut(head, ",")
	priority, err := strconv.Atoi(number)
	if !ok || err != nil {
		return line{}, false
	}
	text, _, _ = strings.Cut(text, "\n")
	return line{program: "kernel", facility: priority >> 3, severity: Severity(priority & 7), text: text}, true
}
