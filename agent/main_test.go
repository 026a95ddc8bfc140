package agent_test

import (
	"os"
	"testing"

	"github.com/octavo-lb/octavo/agent/instancetest"
)

func TestMain(m *testing.M) { os.Exit(instancetest.Run(m)) }
