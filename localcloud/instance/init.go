package instance

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readyFD is the pipe on which Start waits.
const readyFD = 3

// Main is an instance's init: it never returns. The program calls it, before anything else, when its first argument is
// InitCommand, with the arguments that follow.
func Main(args []string) {
	ready := os.NewFile(readyFD, "ready")
	unix.CloseOnExec(readyFD)
	run, err := boot(args)
	if err != nil {
		fmt.Fprint(ready, err)
		os.Exit(1)
	}
	fmt.Fprint(ready, "ready")
	ready.Close()
	run()
}

// boot prepares the namespaces and answers what then runs for ever.
func boot(args []string) (run func(), err error) {
	if len(args) != 1 || os.Getpid() != 1 {
		return nil, errors.New("this command is for octavo itself: it is the init of an instance")
	}
	var s Spec
	if err := json.Unmarshal([]byte(args[0]), &s); err != nil {
		return nil, err
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return nil, fmt.Errorf("cannot set the host name: %w", err)
	}
	program, err := mountAll(s)
	if err != nil {
		return nil, err
	}
	drive, err := ReadDrive(driveMount)
	if err != nil {
		return nil, err
	}
	if err := configureNetwork(drive.Network, s.FirstLinkOnly); err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	go reloadNetwork(s, log)
	if len(s.Program) == 1 && s.Program[0] == WebProgram[0] {
		web, err := newWeb(drive.MetaData)
		if err != nil {
			return nil, err
		}
		go reap(nil)
		return web.serve, nil
	}
	return func() { supervise(program, log) }, nil
}

func reloadNetwork(s Spec, log *slog.Logger) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	for range hup {
		drive, err := ReadDrive(driveMount)
		if err == nil {
			err = configureNetwork(drive.Network, s.FirstLinkOnly)
		}
		if err != nil {
			log.Error("cannot configure the network anew", "err", err)
		}
	}
}

// supervise runs the program and runs it again when it ends, at once at first, then with growing pauses.
func supervise(program []string, log *slog.Logger) {
	exits := make(chan exit, 16)
	go reap(exits)
	const shortest, longest = 100 * time.Millisecond, 5 * time.Second
	pause := shortest
	for {
		began := time.Now()
		p, err := os.StartProcess(program[0], program, &os.ProcAttr{
			Env: os.Environ(), Files: []*os.File{nil, os.Stdout, os.Stderr},
		})
		if err != nil {
			log.Error("cannot start the program", "program", program[0], "err", err)
		} else {
			status := waitFor(p.Pid, exits)
			_ = p.Release()
			log.Warn("the program ended", "program", program[0], "status", status)
		}
		if time.Since(began) > time.Minute {
			pause = shortest
		}
		time.Sleep(pause)
		pause = min(2*pause, longest)
	}
}

type exit struct {
	pid    int
	status unix.WaitStatus
}

func waitFor(pid int, exits <-chan exit) string {
	for e := range exits {
		if e.pid != pid {
			continue
		}
		if e.status.Signaled() {
			return e.status.Signal().String()
		}
		return fmt.Sprint("exit ", e.status.ExitStatus())
	}
	return ""
}

// reap collects every process that has no other parent, as init must.
func reap(exits chan<- exit) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		for {
			var status unix.WaitStatus
			pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || pid <= 0 {
				break
			}
			if exits != nil {
				exits <- exit{pid, status}
			}
		}
		<-ended
	}
}
