package dbtest

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// StartDelayedReplica starts a MariaDB server and one that replicates it, which shows whatever is committed that much later;
// the caller closes both. Databases are made on the first, and have the same names on the second.
func StartDelayedReplica(delay time.Duration) (primary, replica *Server, err error) {
	unsafe := []string{"--debug-no-sync", "--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=2"}
	var both errgroup.Group
	both.Go(func() (err error) {
		primary, err = startMariaDB(slices.Concat(unsafe, []string{"--server-id=1", "--log-bin=bin", "--binlog-format=ROW"})...)
		return err
	})
	both.Go(func() (err error) {
		replica, err = startMariaDB(slices.Concat(unsafe, []string{"--server-id=2"})...)
		return err
	})
	err = both.Wait()
	for _, s := range []*Server{primary, replica} {
		defer s.closeAfter(&err)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := primary.exec("GRANT REPLICATION SLAVE ON *.* TO replica@'%' IDENTIFIED BY 'replica'"); err != nil {
		return nil, nil, err
	}
	err = replica.exec(fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='replica', MASTER_PASSWORD='replica',"+
		" MASTER_USE_GTID=slave_pos, MASTER_DELAY=%d", primary.port, int(delay.Seconds())), "START SLAVE")
	return primary, replica, err
}

func (s *Server) exec(statements ...string) error {
	db, err := s.admin()
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// closeAfter ends a server that is of no use alone.
func (s *Server) closeAfter(err *error) {
	if *err != nil && s != nil {
		s.Close()
	}
}

// DSN is the URL of a database, whether it is there yet or not.
func (s *Server) DSN(name string) string { return fmt.Sprintf(s.url, s.port, name) }
