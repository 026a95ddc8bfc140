package boot

import (
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A key event of the kernel's input devices (struct input_event): 16 bytes of time, then type, code and value.
const (
	inputEventSize = 24
	eventKey       = 1
	keyPower       = 116
	keyPressed     = 1
)

// watchPowerButton sends SIGTERM when the virtual power button is pressed. Nova presses it to stop a server, and kills
// the machine if nothing happens for a minute.
func watchPowerButton(signals chan<- os.Signal, log *slog.Logger) {
	names, _ := filepath.Glob("/sys/class/input/event*/device/name")
	for _, file := range names {
		if !strings.Contains(readLine(file), "Power Button") {
			continue
		}
		device := "/dev/input/" + filepath.Base(filepath.Dir(filepath.Dir(file)))
		events, err := os.Open(device)
		if err != nil {
			log.Warn("cannot listen to the power button", "device", device, "err", err)
			continue
		}
		go func() {
			defer events.Close()
			event := make([]byte, inputEventSize)
			for {
				if n, err := events.Read(event); err != nil || n != inputEventSize {
					return
				}
				if isPowerKey(event) {
					signals <- syscall.SIGTERM
				}
			}
		}()
	}
}

func isPowerKey(event []byte) bool {
	order := binary.LittleEndian
	return order.Uint16(event[16:]) == eventKey && order.Uint16(event[18:]) == keyPower && order.Uint32(event[20:]) == keyPressed
}
