package haproxy

import (
	"slices"
	"strings"
	"testing"
)

func TestChangesOfAList(t *testing.T) {
	for _, c := range []struct {
		have, want, forget, learn string
		reload                    bool
	}{
		{have: "a b", want: "a b"},
		{have: "a", want: "a b c", learn: "b c"},
		{have: "a b c", want: "a c", forget: "b"},
		{have: "a b c", want: "a c d", forget: "b", learn: "d"},
		{have: "a b", want: "b", reload: true},
		{have: "a b", want: "b a", reload: true},
		{have: "a c", want: "a b c", reload: true},
		{have: "a b b", want: "a b", reload: true},
		{have: "", want: "a", reload: true},
	} {
		forget, learn, ok := List{Files: strings.Fields(c.want)}.Changes(strings.Fields(c.have))
		if ok == c.reload || !slices.Equal(forget, strings.Fields(c.forget)) || !slices.Equal(learn, strings.Fields(c.learn)) {
			t.Errorf("from %q to %q: forget %v, learn %v, %v", c.have, c.want, forget, learn, ok)
		}
	}
}
