package dbtest_test

import (
	"os"
	"testing"

	"github.com/octavo-lb/octavo/test/dbtest"
)

func TestServersStartStopAndLeaveNothing(t *testing.T) {
	for name, start := range map[string]func() (*dbtest.Server, error){
		"mariadb": dbtest.StartMariaDB, "postgresql": dbtest.StartPostgreSQL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := start()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			if _, err := server.NewDatabase("one"); err != nil {
				t.Fatal(err)
			}
			if err := server.Stop(); err != nil {
				t.Fatal(err)
			}
			if _, err := server.NewDatabase("two"); err == nil {
				t.Error("a stopped server answers")
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := server.NewDatabase("one"); err == nil {
				t.Error("the database made before the stop is lost")
			}
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(server.Dir()); !os.IsNotExist(err) {
				t.Errorf("the server's directory is still there: %v", err)
			}
		})
	}
}
