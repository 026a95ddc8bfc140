package health

import (
	"testing"
	"testing/synctest"
)

func TestChangeWakesThoseWhoWaitForItAndNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		changes := make(chan string)
		go h.run(t.Context(), changes)
		first, stopFirst := h.listen("lb1")
		second, stopSecond := h.listen("lb1")
		other, stopOther := h.listen("lb2")
		defer stopOther()
		changes <- "lb1"
		changes <- "lb1" // nobody has looked yet: the second one must block nobody
		changes <- "unknown"
		synctest.Wait()
		if len(first) != 1 || len(second) != 1 || len(other) != 0 {
			t.Errorf("woken: %d, %d, %d", len(first), len(second), len(other))
		}
		stopFirst()
		stopSecond()
		stopSecond()
		if n := h.waiting(); n != 1 {
			t.Errorf("%d wait after two of three left", n)
		}
		close(changes)
	})
}
