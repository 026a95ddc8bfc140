package identity

import (
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// TestSecretThatMatchedMatchesAtOnce holds that it does, with its own hash and with no other.
func TestSecretThatMatchedMatchesAtOnce(t *testing.T) {
	c := newCloud(t)
	c.opts.HashCost = bcrypt.DefaultCost
	mine, err := c.hash("mine")
	if err != nil {
		t.Fatal(err)
	}
	other, err := c.hash("other")
	if err != nil {
		t.Fatal(err)
	}
	if !c.matches(mine, "mine") || !c.matches(other, "other") {
		t.Fatal("a right secret is refused")
	}
	if c.matches(mine, "other") || c.matches(other, "mine") || c.matches(mine, "") || c.matches(nil, "mine") {
		t.Error("a wrong secret is accepted")
	}
	began := time.Now()
	for range 1000 {
		if !c.matches(mine, "mine") {
			t.Fatal("a right secret is refused")
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("1000 times took %v", took)
	}
}
