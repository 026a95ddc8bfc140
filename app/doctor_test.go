package app

import (
	"testing"
	"time"

	"github.com/octavo-lb/octavo/store"
)

func TestDoctorMindsNotificationsThatWaitLong(t *testing.T) {
	now := time.Now()
	for waited, want := range map[time.Duration]Severity{0: Fine, time.Minute: Fine, time.Hour: Warning, 4 * 24 * time.Hour: Failure} {
		d := &doctor{now: now}
		d.examineNotifications(store.Census{Notifications: 3, OldestNotification: now.Add(-waited)})
		if got := d.findings[0]; got.Severity != want || (got.Hint == "") != (want == Fine) {
			t.Errorf("after %v: %+v, want %v", waited, got, want)
		}
	}
}
