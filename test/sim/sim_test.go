package sim

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/worker"
)

// seeds is how many runs are made; OCTAVO_SIM_SEEDS asks for more.
func seeds(t *testing.T) uint64 {
	text := os.Getenv("OCTAVO_SIM_SEEDS")
	if text == "" {
		return 100
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("OCTAVO_SIM_SEEDS: %v", err)
	}
	return n
}

func options(seed uint64) Options {
	return Options{Seed: seed, Trouble: 90 * time.Second, Calm: 3 * time.Hour}
}

// TestImmunity01To17_EverySeedSettles lets everything go wrong that may, and holds what must hold: statuses are never stuck
// (1), nothing is made twice by steps that were done before (5), of two owners of one job one loses (6), no state needs
// repair (7), nothing serves worse because the cloud is away (8), half-done deletions go on (14), nothing leaks (15), no VIP
// changes (16), no wrong port is touched (17).
func TestImmunity01To17_EverySeedSettles(t *testing.T) {
	var kills, takeovers, lost, refusals, replaced atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for seed := range seeds(t) {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				r := Run(t, options(seed))
				for _, v := range r.Violations {
					t.Errorf("%s", v)
				}
				if t.Failed() {
					t.Logf("repeat it with OCTAVO_SIM_SEED=%d go test -v -run TestOneSeed ./test/sim", seed)
				}
				kills.Add(int64(r.Kills))
				takeovers.Add(int64(r.Takeovers))
				lost.Add(int64(r.LostAnswers))
				refusals.Add(int64(r.Refusals))
				replaced.Add(int64(r.Replaced))
			})
		}
	})
	t.Logf("%d kills, %d takeovers from the living, %d answers lost, %d refusals, %d amphorae replaced",
		kills.Load(), takeovers.Load(), lost.Load(), refusals.Load(), replaced.Load())
	for what, n := range map[string]int64{"kills": kills.Load(), "takeovers": takeovers.Load(), "lost answers": lost.Load(),
		"refusals": refusals.Load(), "replaced amphorae": replaced.Load()} {
		if n == 0 {
			t.Errorf("there were no %s: the simulation does not try what it should", what)
		}
	}
}

// TestOneSeed tells the story of one seed: OCTAVO_SIM_SEED, or 1.
func TestOneSeed(t *testing.T) {
	seed, _ := strconv.ParseUint(os.Getenv("OCTAVO_SIM_SEED"), 10, 64)
	if seed == 0 {
		seed = 1
	}
	o := options(seed)
	if testing.Verbose() && os.Getenv("OCTAVO_SIM_SEED") != "" {
		o.Log = t.Logf
	}
	first := Run(t, o)
	for _, v := range first.Violations {
		t.Error(v)
	}
	o.Log = nil
	if again := Run(t, o); again.Trace != first.Trace {
		t.Errorf("seed %d went one way (%s) and then another (%s)", seed, first.Trace, again.Trace)
	}
}

// broken breaks one rule.
type broken struct {
	worker.Cloud
	fence, find, rules bool
}

// DeletePort of an amphora that was retired does nothing: it is not fenced.
func (b broken) DeletePort(ctx context.Context, p plan.Port) error {
	if b.fence && strings.HasPrefix(p.Name, "octavia-lb-vrrp-") {
		return nil
	}
	return b.Cloud.DeletePort(ctx, p)
}

// FindServer never finds one: it is made again.
func (b broken) FindServer(ctx context.Context, name string) (plan.Server, error) {
	if b.find {
		name += "-not"
	}
	return b.Cloud.FindServer(ctx, name)
}

// EnsureSecurityGroup forgets the last rule.
func (b broken) EnsureSecurityGroup(ctx context.Context, g plan.SecurityGroup) (plan.SecurityGroup, error) {
	if b.rules && len(g.Rules) > 2 {
		g.Rules = g.Rules[:len(g.Rules)-1]
	}
	return b.Cloud.EnsureSecurityGroup(ctx, g)
}

// TestJudgeCanSayNo breaks one rule at a time and waits for the judge to notice.
func TestJudgeCanSayNo(t *testing.T) {
	for name, how := range map[string]broken{
		"amphorae that are retired keep their port":     {fence: true},
		"instances are made without looking for one":    {find: true},
		"security groups lack the rule of one listener": {rules: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(30) {
				o := options(seed)
				o.Calm = 20 * time.Minute
				o.Broken = func(c worker.Cloud) worker.Cloud {
					b := how
					b.Cloud = c
					return b
				}
				if r := Run(t, o); len(r.Violations) > 0 {
					t.Logf("noticed with seed %d: %s", seed, r.Violations[0])
					return
				}
			}
			t.Error("the judge never noticed")
		})
	}
}
