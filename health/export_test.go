package health

// Waiting is how many requests wait for a change.
func (s *Server) Waiting() int { return s.hub.waiting() }
