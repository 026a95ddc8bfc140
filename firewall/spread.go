package firewall

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
)

// share is a number of turns in a row that one member gets.
type share struct {
	mark  uint32
	turns int
}

// maxTurns is how long a sequence of turns may get. Longer ones are made of coarser pieces.
const maxTurns = 4096

// turns gives every member as many turns as its weight says, spread out evenly: with weights 3 and 1 it is a a b a, so
// that no member gets all of its flows at once.
func turns(members []member) []share {
	divisor, total := 0, 0
	for _, m := range members {
		divisor = gcd(divisor, m.weight)
		total += m.weight
	}
	piece := (total/divisor + maxTurns - 1) / maxTurns
	type turn struct {
		share
		at float64 // between 0 and 1
	}
	var all []turn
	for _, m := range members {
		weight := m.weight / divisor
		for from := 0; from < weight; from += piece {
			size := min(piece, weight-from)
			all = append(all, turn{share{m.mark, size}, (float64(from) + float64(size)/2) / float64(weight)})
		}
	}
	slices.SortStableFunc(all, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	var out []share
	for _, t := range all {
		out = give(out, t.mark, t.turns)
	}
	return out
}

// tolerance is by how much of the fullest member's flows the others may differ before new flows are led to them. It lies
// below what arrives within one look of the agent at the flows, so that nothing swings.
const tolerance = 0.05

// fewTurns is how far ahead flows are led to the members with the fewest at least.
const fewTurns = 64

// levelling chooses as many times as it takes to even out the flows that there are, for their members' weights, each time
// the member with the fewest. Flows that are even already go by turns.
func levelling(members []member, flows func(member) int) []share {
	load := make([]float64, len(members))
	highest, lowest := 0.0, math.Inf(1)
	for i, m := range members {
		load[i] = float64(flows(m))
		highest, lowest = max(highest, load[i]/float64(m.weight)), min(lowest, load[i]/float64(m.weight))
	}
	if highest-lowest <= tolerance*highest {
		return turns(members)
	}
	missing := 0.0
	for i, m := range members {
		missing += highest*float64(m.weight) - load[i]
	}
	var out []share
	for range int(min(max(2*missing, fewTurns), maxTurns/4)) {
		least := 0
		for i, m := range members {
			if (load[i]+1)*float64(members[least].weight) < (load[least]+1)*float64(m.weight) {
				least = i
			}
		}
		load[least]++
		out = give(out, members[least].mark, 1)
	}
	return out
}

// slots is how many parts the clients are hashed into.
const slots = 4096

// hashing leads every slot to the member that draws the highest number in it; by weight, as the logarithm of a number
// between 0 and 1 divided by the weight is the time to an event of that rate. A member that comes or goes moves no client
// but its own.
func hashing(members []member) []share {
	seeds := make([]uint64, len(members))
	for i, m := range members {
		seeds[i] = hash64(m.endpoint.String())
	}
	var out []share
	for slot := range uint64(slots) {
		first, soonest := 0, math.Inf(1)
		for i, m := range members {
			drawn := (float64(mix(seeds[i]+slot*0x9e3779b97f4a7c15)>>11) + 1) / (1 << 53)
			if t := -math.Log(drawn) / float64(m.weight); t < soonest {
				first, soonest = i, t
			}
		}
		out = give(out, members[first].mark, 1)
	}
	return out
}

func give(all []share, mark uint32, turns int) []share {
	if n := len(all); n > 0 && all[n-1].mark == mark {
		all[n-1].turns += turns
		return all
	}
	return append(all, share{mark, turns})
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// mix spreads every bit over all others (the finish of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func hash64(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return mix(h.Sum64())
}

func hash32(text string) uint32 { return uint32(hash64(text)) }

// number gives every path its mark: the same in every ruleset, so that flows and clients that are remembered keep their
// meaning, and the same in both amphorae of a pair.
func number(services []*service) {
	taken := map[uint32]bool{0: true, AnswerMark: true}
	for _, s := range services {
		marks := map[string]uint32{}
		for i := range s.members {
			m := &s.members[i]
			m.mark = hash32(s.listener + " " + m.endpoint.String())
			for taken[m.mark] {
				m.mark++
			}
			taken[m.mark] = true
			marks[m.id] = m.mark
		}
		for i := range s.choice {
			s.choice[i].mark = marks[s.choice[i].id]
		}
	}
}
