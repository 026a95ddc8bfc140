package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is one connection of HTTP/2 on which anything can be said.
type h2 struct {
	*http2.Framer
	conn net.Conn
	text bytes.Buffer
	enc  *hpack.Encoder
}

func openH2(s side) (*h2, error) {
	c, err := s.dial(context.Background(), "tcp", s.address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(6 * time.Second))
	h := &h2{Framer: http2.NewFramer(c, c), conn: c}
	h.AllowIllegalWrites, h.AllowIllegalReads = true, true
	h.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.enc = hpack.NewEncoder(&h.text)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return nil, err
	}
	return h, h.WriteSettings()
}

// block encodes a list of names and values.
func (h *h2) block(fields ...string) []byte {
	h.text.Reset()
	for f := range slices.Chunk(fields, 2) {
		_ = h.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return bytes.Clone(h.text.Bytes())
}

// send sends a whole header block.
func (h *h2) send(stream uint32, end bool, fields ...string) {
	_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h.block(fields...), EndStream: end, EndHeaders: true})
}

// hear reads until the other end has said all that it has to say, and answers what is of interest.
func (h *h2) hear() string {
	var heard []string
	for {
		_ = h.conn.SetReadDeadline(time.Now().Add(1200 * time.Millisecond)) // shorter than the listener's timeouts
		f, err := h.ReadFrame()
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			heard = append(heard, fmt.Sprint(f.StreamID, " status ", f.PseudoValue("status")))
		case *http2.RSTStreamFrame:
			heard = append(heard, fmt.Sprint(f.StreamID, " reset ", f.ErrCode))
		case *http2.GoAwayFrame:
			heard = append(heard, fmt.Sprint("go away ", f.ErrCode))
		}
		if err != nil {
			if _, ok := err.(http2.StreamError); ok {
				continue
			}
			return strings.Join(heard, ", ")
		}
	}
}

// request is the beginning of an ordinary one.
func request(tag string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", tag}, more...)
}

// with is one request with more fields.
func with(fields ...string) func(h *h2, tag string) {
	return func(h *h2, tag string) { h.send(1, true, request(tag, fields...)...) }
}

// pseudo is one request of these fields alone; TAG stands for the path.
func pseudo(fields ...string) func(h *h2, tag string) {
	return func(h *h2, tag string) {
		all := slices.Clone(fields)
		for i := range all {
			all[i] = strings.ReplaceAll(all[i], "TAG", tag)
		}
		h.send(1, true, all...)
	}
}

// withBody is a request that says one length and sends another.
func withBody(length, body string) func(h *h2, tag string) {
	return func(h *h2, tag string) {
		h.send(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", tag, "content-length", length)
		_ = h.WriteData(1, true, []byte(body))
	}
}

// misuses are what RFC 9113 forbids, and what becomes dangerous when it is written down as HTTP/1.1 for the member.
var misuses = map[string]func(h *h2, tag string){
	"well formed":              with(),
	"CR LF in a value":         with("x-a", "b\r\ntransfer-encoding: chunked"),
	"LF in a value":            with("x-a", "b\nc: d"),
	"NUL in a value":           with("x-a", "b\x00c"),
	"CR LF in a name":          with("x-a: b\r\nx-c", "d"),
	"colon in a name":          with("x-a:b", "d"),
	"space in a name":          with("x a", "d"),
	"empty name":               with("", "d"),
	"capitals in a name":       with("X-A", "d"),
	"spaces around a value":    with("x-a", " b "),
	"transfer-encoding":        with("transfer-encoding", "chunked"),
	"connection":               with("connection", "keep-alive"),
	"upgrade":                  with("upgrade", "h2c"),
	"te":                       with("te", "gzip"),
	"host beside authority":    with("host", "b"),
	"two lengths":              with("content-length", "5", "content-length", "6"),
	"length that is none":      with("content-length", "+0"),
	"more than the length":     withBody("3", "12345"),
	"less than the length":     withBody("8", "12345"),
	"the length":               withBody("5", "12345"),
	"CR LF in the path":        pseudo(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "TAG HTTP/1.1\r\nhost: b\r\n\r\nGET TAG-smuggled"),
	"space in the path":        pseudo(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "TAG x"),
	"fragment":                 pseudo(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "TAG#x"),
	"path without a slash":     pseudo(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "xTAG"),
	"empty path":               pseudo(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "", "x-tag", "TAG"),
	"CR LF in the method":      pseudo(":method", "GET TAG HTTP/1.1\r\nx: y\r\n\r\nGET", ":scheme", "http", ":authority", "a", ":path", "TAG"),
	"CR LF in the authority":   pseudo(":method", "GET", ":scheme", "http", ":authority", "a\r\nx: y", ":path", "TAG"),
	"slash in the authority":   pseudo(":method", "GET", ":scheme", "http", ":authority", "a/b", ":path", "TAG"),
	"user in the authority":    pseudo(":method", "GET", ":scheme", "http", ":authority", "u@a", ":path", "TAG"),
	"strange scheme":           pseudo(":method", "GET", ":scheme", "http://x/?", ":authority", "a", ":path", "TAG"),
	"no scheme":                pseudo(":method", "GET", ":authority", "a", ":path", "TAG"),
	"no path":                  pseudo(":method", "GET", ":scheme", "http", ":authority", "a", "x-tag", "TAG"),
	"no authority":             pseudo(":method", "GET", ":scheme", "http", ":path", "TAG"),
	"two methods":              pseudo(":method", "GET", ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "TAG"),
	"pseudo-header at the end": pseudo(":method", "GET", ":scheme", "http", "x-a", "b", ":authority", "a", ":path", "TAG"),
	"unknown pseudo-header":    pseudo(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "TAG", ":x", "y"),
	"status in a request":      pseudo(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "TAG", ":status", "200"),
	"CONNECT with a path":      pseudo(":method", "CONNECT", ":scheme", "http", ":authority", "a", ":path", "TAG"),
	"extended CONNECT":         pseudo(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", "TAG"),
	"30,000 in one value":      with("x-a", strings.Repeat("a", 30000)),
	"300 fields":               with(slices.Repeat([]string{"x-a", "b"}, 300)...),
	"trailers with a pseudo-header": func(h *h2, tag string) {
		h.send(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", tag)
		_ = h.WriteData(1, false, []byte("12345"))
		h.send(1, true, ":path", "/other")
	},
	"even stream":   func(h *h2, tag string) { h.send(2, true, request(tag)...) },
	"stream 0":      func(h *h2, tag string) { h.send(0, true, request(tag)...) },
	"older stream":  func(h *h2, tag string) { h.send(5, true, request(tag)...); h.send(3, true, request(tag)...) },
	"data on idle":  func(h *h2, _ string) { _ = h.WriteData(1, true, []byte("x")) },
	"reset of idle": func(h *h2, _ string) { _ = h.WriteRSTStream(1, http2.ErrCodeCancel) },
	"push by a client": func(h *h2, tag string) {
		_ = h.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: h.block(request(tag)...), EndHeaders: true})
	},
	"window of 0":      func(h *h2, _ string) { _ = h.WriteWindowUpdate(0, 0) },
	"window too large": func(h *h2, _ string) { _ = h.WriteWindowUpdate(0, 1<<31-1) },
	"frame size of 1":  func(h *h2, _ string) { _ = h.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}) },
	"lone continuation": func(h *h2, tag string) {
		_ = h.WriteContinuation(1, true, h.block(request(tag)...))
	},
	"interrupted block": func(h *h2, tag string) {
		_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.block(request(tag)...), EndStream: true})
		_ = h.WritePing(false, [8]byte{})
	},
	"compression that is none": func(h *h2, _ string) {
		_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndStream: true, EndHeaders: true})
	},
	"padding that is too long": func(h *h2, _ string) { _ = h.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{200, 1}) },
	"unknown frame": func(h *h2, tag string) {
		_ = h.WriteRawFrame(0xee, 0, 1, []byte("x"))
		h.send(1, true, request(tag)...)
	},
	"unknown setting": func(h *h2, tag string) {
		_ = h.WriteSettings(http2.Setting{ID: 0xff, Val: 1})
		h.send(1, true, request(tag)...)
	},
	"itself as dependency": func(h *h2, tag string) {
		_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.block(request(tag)...), EndStream: true, EndHeaders: true, Priority: http2.PriorityParam{StreamDep: 1}})
	},
}

// TestHTTP2Misuse: what HTTP/2 forbids is answered as a HAProxy answers it that is told nothing, and the same reaches the
// member.
func TestHTTP2Misuse(t *testing.T) {
	d := newDuel(t)
	var names []string
	for name := range misuses {
		names = append(names, name)
	}
	d.compare(t, names, func(s side, i int, tag string) outcome {
		h, err := openH2(s)
		if err != nil {
			return outcome{Answer: err.Error()}
		}
		defer h.conn.Close()
		misuses[names[i]](h, tag)
		return outcome{Answer: h.hear(), Member: s.member.of(tag)}
	})
	d.bothServe(t)
	if got := d.sides[0].member.of("/case"); strings.Contains(got, "-smuggled") || strings.Count(got, "\n---\n") < 5 {
		t.Errorf("the member got %.500s", got)
	}
}

// floods are what costs the sender little and a careless server much.
var floods = map[string]func(h *h2){
	"rapid reset": func(h *h2) { // CVE-2023-44487
		for i := range uint32(5000) {
			h.send(2*i+1, true, request("/flood")...)
			_ = h.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}
	},
	"continuation": func(h *h2) { // CVE-2023-45288
		_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.block(request("/flood")...)})
		for range 20000 {
			_ = h.WriteContinuation(1, false, h.block("x-a", strings.Repeat("a", 100)))
		}
	},
	"compression bomb": func(h *h2) { // CVE-2026-49975
		_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.block(request("/flood", "x-a", strings.Repeat("a", 3900))...)})
		for range 2000 {
			_ = h.WriteContinuation(1, false, bytes.Repeat([]byte{0xbe}, 16000)) // the same field 16,000 times
		}
	},
	"ping":     func(h *h2) { repeat(50000, func() error { return h.WritePing(false, [8]byte{}) }) },
	"settings": func(h *h2) { repeat(50000, func() error { return h.WriteSettings() }) },
	"empty data": func(h *h2) {
		h.send(1, false, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/flood")
		repeat(50000, func() error { return h.WriteData(1, false, nil) })
	},
	"closed window": func(h *h2) { // everything is asked for and nothing taken
		_ = h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for i := range uint32(100) {
			h.send(2*i+1, true, request("/flood")...)
		}
	},
}

func repeat(n int, what func() error) {
	for range n {
		if what() != nil {
			return
		}
	}
}

// TestHTTP2Floods: while and after they are sent from many connections others are served, by the same process, and its memory
// does not grow out of bounds.
func TestHTTP2Floods(t *testing.T) {
	d := newDuel(t)
	us, pid := d.sides[0], workerPID(t, d.world)
	for name, flood := range floods {
		done := make(chan struct{})
		go func() {
			defer close(done)
			end := make(chan struct{}, 20)
			for range cap(end) {
				go func() {
					defer func() { end <- struct{}{} }()
					if h, err := openH2(us); err == nil {
						flood(h)
						h.conn.Close()
					}
				}()
			}
			for range cap(end) {
				<-end
			}
		}()
		for running := true; running; {
			select {
			case <-done:
				running = false
			case <-time.After(20 * time.Millisecond):
			}
			began := time.Now()
			got := us.try("GET /ordinary HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "/none")
			if !strings.HasPrefix(got.Answer, "HTTP/1.1 200") || time.Since(began) > 3*time.Second {
				t.Errorf("%s: another client is answered %q after %v", name, got.Answer, time.Since(began))
			}
		}
	}
	if now := workerPID(t, d.world); now != pid {
		t.Errorf("HAProxy was started again: %s was %s", now, pid)
	}
	if used := megabytes(t, d.world, pid); used > 200 {
		t.Errorf("HAProxy has grown to %d MB", used)
	}
}

// megabytes of memory that a process of the instance has ever had.
func megabytes(t *testing.T, w *world, pid string) (used int) {
	t.Helper()
	out := w.instance.Output(t, "grep", "VmHWM", "/proc/"+pid+"/status")
	if _, err := fmt.Sscanf(out, "VmHWM: %d kB", &used); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return used / 1024
}
