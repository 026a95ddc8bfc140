package instance

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
)

// web is the program of the image of that name: something to balance to. It answers
//
//	GET  any path              its server's name
//	GET  /healthcheck          200, or 503 after it was told to fail
//	POST /healthcheck?fail=1   makes it fail, ?fail=0 makes it well again
//	GET  /served               how many requests it has answered, health checks not counted
//	GET  /headers              the request's headers as they came
//
// on port 80, or the one that the server's metadata web_port names, and every datagram to that port with its server's name.
type web struct {
	name     string
	listener net.Listener
	datagram net.PacketConn
	failing  atomic.Bool
	served   atomic.Int64
}

func newWeb(meta MetaData) (*web, error) {
	port := meta.Meta["web_port"]
	if port == "" {
		port = "80"
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return nil, err
	}
	datagram, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return nil, err
	}
	return &web{name: meta.Name, listener: listener, datagram: datagram}, nil
}

func (w *web) serve() {
	go w.answerDatagrams()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthcheck", w.health)
	mux.HandleFunc("POST /healthcheck", w.tell)
	mux.HandleFunc("GET /served", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, w.served.Load()) })
	mux.HandleFunc("GET /headers", func(rw http.ResponseWriter, r *http.Request) { _ = r.Header.Write(rw) })
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) {
		w.served.Add(1)
		fmt.Fprintln(rw, w.name)
	})
	err := http.Serve(w.listener, mux)
	fmt.Fprintln(os.Stderr, "web:", err)
	os.Exit(1)
}

func (w *web) answerDatagrams() {
	buffer := make([]byte, 1)
	for {
		_, from, err := w.datagram.ReadFrom(buffer)
		if err != nil {
			fmt.Fprintln(os.Stderr, "web:", err)
			continue
		}
		w.served.Add(1)
		_, _ = w.datagram.WriteTo([]byte(w.name+"\n"), from)
	}
}

func (w *web) health(rw http.ResponseWriter, _ *http.Request) {
	if w.failing.Load() {
		http.Error(rw, "told to fail", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(rw, "ok")
}

func (w *web) tell(rw http.ResponseWriter, r *http.Request) {
	switch r.URL.Query().Get("fail") {
	case "1":
		w.failing.Store(true)
	case "0":
		w.failing.Store(false)
	default:
		http.Error(rw, "say ?fail=1 or ?fail=0", http.StatusBadRequest)
		return
	}
	rw.WriteHeader(http.StatusNoContent)
}
