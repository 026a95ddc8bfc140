package firewall

import (
	"fmt"
	"math"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func membersOf(weights ...int) []member {
	var all []member
	for i, w := range weights {
		e := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 53)
		all = append(all, member{id: fmt.Sprint(i), endpoint: e, weight: w, mark: uint32(i + 2)})
	}
	return all
}

func count(shares []share) (perMark map[uint32]int, total int) {
	perMark = map[uint32]int{}
	for _, s := range shares {
		perMark[s.mark] += s.turns
		total += s.turns
	}
	return perMark, total
}

// TestTurns: every member gets exactly its weight's share, however many members and whatever weights there are, in a text
// of limited length.
func TestTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := membersOf(rapid.SliceOfN(rapid.IntRange(1, 256), 1, 500).Draw(t, "weights")...)
		shares := turns(members)
		got, total := count(shares)
		sum := 0
		for _, m := range members {
			sum += m.weight
		}
		for _, m := range members {
			if got[m.mark]*sum != m.weight*total {
				t.Fatalf("member %s of weight %d got %d of %d turns", m.id, m.weight, got[m.mark], total)
			}
		}
		if len(shares) > maxTurns+len(members) {
			t.Fatalf("%d pieces", len(shares))
		}
	})
}

// TestTurnsAreMixed: with weights 3, 2 and 1 nobody is twice in a row.
func TestTurnsAreMixed(t *testing.T) {
	for _, s := range turns(membersOf(3, 2, 1)) {
		if s.turns != 1 {
			t.Errorf("%d turns in a row: %v", s.turns, turns(membersOf(3, 2, 1)))
		}
	}
}

// TestLevelling: after as many new flows as were planned for, members have the same number of flows for their weights.
func TestLevelling(t *testing.T) {
	for _, c := range []struct{ weights, flows []int }{
		{[]int{1, 1}, []int{1, 0}},
		{[]int{1, 1}, []int{20, 0}},
		{[]int{2, 1}, []int{0, 30}},
		{[]int{1, 1, 1}, []int{100, 100, 20}},
	} {
		members := membersOf(c.weights...)
		got, total := count(levelling(members, func(m member) int { return c.flows[m.mark-2] }))
		lowest, highest := math.Inf(1), 0.0
		for i, m := range members {
			v := float64(c.flows[i]+got[m.mark]) / float64(m.weight)
			lowest, highest = min(lowest, v), max(highest, v)
		}
		if highest-lowest > 1 {
			t.Errorf("weights %v, flows %v: %d new ones went %v", c.weights, c.flows, total, got)
		}
	}
}

// TestLevellingStartsWithTheEmptiest: the very next flow goes to the member with the fewest.
func TestLevellingStartsWithTheEmptiest(t *testing.T) {
	first := levelling(membersOf(1, 1, 1), func(m member) int { return []int{7, 9, 3}[m.mark-2] })[0]
	if first.mark != 4 || first.turns < 4 {
		t.Errorf("the next flows go %v", first)
	}
}

// TestHashing: shares are near the weights, and a member that leaves moves nobody else's clients.
func TestHashing(t *testing.T) {
	members := membersOf(1, 1, 2, 4)
	got, total := count(hashing(members))
	if total != slots {
		t.Fatalf("%d slots", total)
	}
	for _, m := range members {
		want := float64(slots) * float64(m.weight) / 8
		if math.Abs(float64(got[m.mark])-want) > want/5 {
			t.Errorf("weight %d: %d slots of %d", m.weight, got[m.mark], slots)
		}
	}
	before, after := flatten(hashing(members)), flatten(hashing(members[1:]))
	for i := range before {
		if before[i] != after[i] && before[i] != members[0].mark {
			t.Fatalf("slot %d moved from %d to %d", i, before[i], after[i])
		}
	}
}

func flatten(shares []share) []uint32 {
	var out []uint32
	for _, s := range shares {
		for range s.turns {
			out = append(out, s.mark)
		}
	}
	return out
}
