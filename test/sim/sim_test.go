package sim

import (
	"testing"
	"time"
)

func TestOne(t *testing.T) {
	began := time.Now()
	for seed := range uint64(10) {
		r := Run(t, Options{Seed: seed, Trouble: 5 * time.Minute, Calm: 3 * time.Hour})
		t.Logf("%+v in %s", r, time.Since(began))
		for _, v := range r.Violations {
			t.Errorf("seed %d: %s", seed, v)
		}
	}
}
