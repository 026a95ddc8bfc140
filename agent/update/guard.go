package update

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// GuardCommand is the argument with which the program becomes a guard; see Guard.
const GuardCommand = "guard-update"

// startGuard starts this very program, as it is now, to watch what this process becomes.
func (u *Updater) startGuard(digest string) error {
	ready, started, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the guard: %w", err)
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe", GuardCommand, strconv.Itoa(os.Getpid()), u.pending(), u.failedFile(), digest, u.Trial.String())
	cmd.ExtraFiles = []*os.File{started}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	started.Close()
	if err != nil {
		return fmt.Errorf("starting the guard: %w", err)
	}
	if line, err := bufio.NewReader(ready).ReadString('\n'); err != nil || line != "watching\n" {
		return errors.New("starting the guard: it does not watch")
	}
	return nil
}

// Guard watches the process that a new program runs in. If the program has not proved itself when its trial is over, the
// process is killed, and whoever keeps the agent running starts the image's program. It returns the exit code.
func Guard(args []string) int {
	if err := guard(args); err != nil {
		fmt.Fprintln(os.Stderr, "octavo-agent:", err)
		return 1
	}
	return 0
}

func guard(args []string) error {
	if len(args) != 5 {
		return errors.New("this command is for the agent itself")
	}
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	pending, failedFile, digest := args[1], args[2], args[3]
	patience, err := time.ParseDuration(args[4])
	if err != nil {
		return err
	}
	watched, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("watching process %d: %w", pid, err)
	}
	unix.CloseOnExec(readyFD)
	ready := os.NewFile(readyFD, "ready")
	fmt.Fprintln(ready, "watching")
	ready.Close()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(guardPoll) {
		if !onTrial(pending, digest) {
			return nil
		}
	}
	if !onTrial(pending, digest) {
		return nil
	}
	text, err := json.Marshal(failed{digest, "it did not report to a controller within " + patience.String()})
	if err == nil {
		err = os.WriteFile(failedFile, text, 0o600)
	}
	// Without this the next process would only know that it ended.
	return errors.Join(err, os.Remove(pending), unix.PidfdSendSignal(watched, unix.SIGKILL, nil, 0))
}

const (
	readyFD   = 3
	guardPoll = 100 * time.Millisecond
)

func onTrial(pending, digest string) bool {
	var t trial
	text, err := os.ReadFile(pending)
	return err == nil && json.Unmarshal(text, &t) == nil && t.Digest == digest
}
