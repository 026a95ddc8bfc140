//go:build !vault

// Program vault is a HashiCorp Vault of which tests ask no more than key/value stores and AppRole: in memory, initialised, unsealed.
// It prints its address, its root token and the key that unseals it, and serves until it is killed.
//
// It needs modules that nothing else needs, and minutes to compile, so that it is built with a tag and a go.mod of its own:
//
//	go build -tags vault -modfile=tools/vault.mod ./test/vault
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "This Vault is built by make test-vault.")
	os.Exit(2)
}
