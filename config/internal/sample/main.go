// Command sample writes the configuration file that lists every key with its default, for docs/octavia.conf.sample.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/octavo-lb/octavo/config"
)

func main() {
	var b bytes.Buffer
	err := config.Reference(&b)
	if err == nil {
		err = os.WriteFile(os.Args[1], b.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sample:", err)
		os.Exit(1)
	}
}
