// Package state keeps what localcloud's services know: objects as JSON in one SQLite file, all of them also in memory, so
// that reading never touches the disk.
//
// An object is a struct with JSON tags whose value type says what it is and which one it is:
//
//	type Network struct {
//		ID   string `json:"id"`
//		Name string `json:"name"`
//	}
//
//	func (Network) Kind() string  { return "network" }
//	func (n Network) Key() string { return n.ID }
//
// Kinds are global to the file: prefix one with the service's name when another service could want it too. Fields
// without JSON form (unexported, tagged "-") are not kept.
//
// Reading, from a *Store or inside a transaction:
//
//	n, err := state.Get[Network](s, id)                 // ErrNotFound
//	n, ok := state.Find(s, func(n *Network) bool { return n.Name == "private" })
//	ns := state.List(s, func(n *Network) bool { return n.Shared })  // nil for all; in order of creation
//
// What comes back is the caller's own copy. A predicate sees the shared one and must not change it; it costs no decoding,
// so looking through thousands of objects is cheap and there are no indexes to declare.
//
// Writing is one transaction at a time. All of its writes are on disk when Update returns nil and none when it returns
// an error, whether the process is killed or not:
//
//	err := s.Update(func(tx *state.Tx) error {
//		if _, taken := state.Find(tx, sameAddress); taken {
//			return errAddressTaken // nothing is changed
//		}
//		return tx.Put(port)
//	})
//
// Because writers are serialised, a check made inside Update still holds when it commits: uniqueness and counting need
// nothing else. The function must therefore be quick: no commands, sockets or netlink calls in it. Do those before or
// after, find before you create, and write what you learned in an Update of its own.
package state
