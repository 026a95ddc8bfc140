// Command octavo-init is process 1 of an amphora image, and its modprobe.
package main

import (
	"os"

	"github.com/octavo-lb/octavo/image/boot"
)

func main() { os.Exit(boot.Main(os.Args)) }
