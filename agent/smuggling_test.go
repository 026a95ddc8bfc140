package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smuggled is what follows a request whose end two parsers may see in different places.
const smuggled = "GET TAG-smuggled HTTP/1.1\r\nHost: b\r\n\r\n"

// post is a request with these headers and this body.
func post(headers, body string) string {
	return "POST TAG HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n\r\n" + body
}

// smugglers are requests that proxies and servers have been known to read in different ways. TAG stands for the path.
func smugglers() map[string]string {
	chunked := "Transfer-Encoding: chunked"
	all := map[string]string{
		"CL.TE":                     post("Content-Length: 6\r\n"+chunked, "0\r\n\r\nG"+smuggled),
		"TE.CL":                     post(chunked+"\r\nContent-Length: 4", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)),
		"CL.CL equal":               post("Content-Length: 5\r\nContent-Length: 5", "12345"+smuggled),
		"CL.CL different":           post("Content-Length: 5\r\nContent-Length: 0", "12345"+smuggled),
		"CL.0":                      post("Content-Length: 0", smuggled),
		"GET with a body":           "GET TAG HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345" + smuggled,
		"HEAD with a body":          "HEAD TAG HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345" + smuggled,
		"obs-fold":                  post("X-A: b\r\n c: d\r\nContent-Length: 0", ""),
		"obs-fold of CL":            post("Content-Length:\r\n 5", "12345"),
		"first line folded":         "GET TAG HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n",
		"space before colon":        post("Content-Length : 5", "12345"),
		"tab before colon":          post("Content-Length\t: 5", "12345"),
		"empty name":                post(": x\r\nContent-Length: 5", "12345"),
		"no colon":                  post("Content-Length 5", "12345"),
		"name with parenthesis":     post("X(Y: 1\r\nContent-Length: 0", ""),
		"NUL in a value":            post("X-A: b\x00c\r\nContent-Length: 0", ""),
		"NUL in a name":             post("X\x00A: b\r\nContent-Length: 0", ""),
		"NUL in the path":           "GET TAG\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
		"CR in a value":             post("X-A: b\rc\r\nContent-Length: 0", ""),
		"8 bit value":               post("X-A: \xff\xfe\r\nContent-Length: 0", ""),
		"8 bit path":                "GET TAG\xff HTTP/1.1\r\nHost: a\r\n\r\n",
		"LF only":                   "GET TAG HTTP/1.1\nHost: a\n\n",
		"LF in between":             post("X-A: b\nX-C: d\r\nContent-Length: 0", ""),
		"name of 300":               post("Content-Length0"+strings.Repeat("a", 255)+":\r\nContent-Length: 5", "12345"+smuggled), // CVE-2021-40346
		"two spaces":                "GET  TAG  HTTP/1.1\r\nHost: a\r\n\r\n",
		"tabs":                      "GET\tTAG\tHTTP/1.1\r\nHost: a\r\n\r\n",
		"space in the path":         "GET TAG x HTTP/1.1\r\nHost: a\r\n\r\n",
		"fragment":                  "GET TAG#x HTTP/1.1\r\nHost: a\r\n\r\n", // CVE-2023-45539
		"HTTP/0.9":                  "GET TAG\r\n",
		"HTTP/1.0":                  "GET TAG HTTP/1.0\r\n\r\n",
		"HTTP/1.0 chunked":          "POST TAG HTTP/1.0\r\n" + chunked + "\r\n\r\n0\r\n\r\n" + smuggled,
		"HTTP/1.2":                  "GET TAG HTTP/1.2\r\nHost: a\r\n\r\n",
		"HTTP/2.0":                  "GET TAG HTTP/2.0\r\nHost: a\r\n\r\n",
		"no Host":                   "GET TAG HTTP/1.1\r\n\r\n",
		"two Hosts":                 "GET TAG HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"Host with a slash":         "GET TAG HTTP/1.1\r\nHost: a/b\r\n\r\n",
		"absolute, another Host":    "GET http://c/TAG HTTP/1.1\r\nHost: a\r\n\r\n",
		"method in small letters":   "get TAG HTTP/1.1\r\nHost: a\r\n\r\n",
		"method with a parenthesis": "GE(T TAG HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT":                   "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nX-Tag: TAG\r\n\r\n",
		"TRACE":                     "TRACE TAG HTTP/1.1\r\nHost: a\r\n\r\n",
		"OPTIONS *":                 "OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Tag: TAG\r\n\r\n",
		"empty lines first":         "\r\n\r\nGET TAG HTTP/1.1\r\nHost: a\r\n\r\n",
		"h2c":                       "GET TAG HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
		"hop-by-hop length":         post("Connection: Content-Length\r\nContent-Length: 5", "12345"),
		"Expect":                    post("Expect: 200-ok\r\nContent-Length: 5", "12345"),
		"path of 20,000":            "GET TAG" + strings.Repeat("a", 20000) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"value of 20,000":           post("X-A: "+strings.Repeat("a", 20000)+"\r\nContent-Length: 0", ""),
		"300 headers":               post(strings.Repeat("X-A: b\r\n", 300)+"Content-Length: 0", ""),
		"unfinished":                "GET TAG HTTP/1.1\r\nHost: a\r\nX-A",
		"TLS":                       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03TAG",
	}
	for i, te := range []string{
		"xchunked", "chunked, identity", "identity, chunked", "chunked, chunked", "\x0bchunked", "\"chunked\"", "chunked\x00", "CHUNKED", "chunked;a=b", "", "gzip, chunked",
	} {
		all[fmt.Sprintf("Transfer-Encoding %d", i)] = post("Content-Length: 5\r\nTransfer-Encoding: "+te, "0\r\n\r\n"+smuggled)
	}
	for _, te := range []string{"Transfer-Encoding : chunked", "Transfer-Encoding\n: chunked", "Transfer_Encoding: chunked", " " + chunked, chunked + "\r\nTransfer-Encoding: x", "X: y\n" + chunked} {
		all[fmt.Sprintf("%q", te)] = post("Content-Length: 5\r\n"+te, "0\r\n\r\n"+smuggled)
	}
	for _, length := range []string{"+5", "-5", "0x5", "5 5", "5, 5", "5,6", "5.0", "", " 5\t", "18446744073709551621", "99999999999999999999999", "05", "5\x00"} {
		all[fmt.Sprintf("Content-Length %q", length)] = post("Content-Length: "+length, "12345"+smuggled)
	}
	for _, body := range []string{
		"g\r\n", "-1\r\n1", "0x5\r\n12345", "5 \r\n12345\r\n0\r\n\r\n", " 5\r\n12345\r\n0\r\n\r\n", "5;a=b\r\n12345\r\n0\r\n\r\n", "5;\nxx\r\n12345\r\n0\r\n\r\n",
		"5\n12345\n0\n\n", "5\r\n12345" + "0\r\n\r\n", "5\r\n123456\r\n0\r\n\r\n", "fffffffffffffffff\r\n1", "00000000000000000005\r\n12345\r\n0\r\n\r\n",
		"5\r\n12345\r\n0\r\nContent-Length: 9\r\n\r\n", "5\r\n12345\r\n0\r\nX-A: b\r\n c\r\n\r\n", "5\rX12345\r\n0\r\n\r\n", "0\r\n\r\n" + smuggled, "\r\n5\r\n12345\r\n0\r\n\r\n",
	} {
		all[fmt.Sprintf("chunks %q", body)] = post(chunked, body)
	}
	return all
}

// TestSmuggling: what proxies and servers have read in different ways is answered as a HAProxy answers it that is told
// nothing, and the same reaches the member.
func TestSmuggling(t *testing.T) {
	d := newDuel(t)
	corpus := smugglers()
	var names []string
	for name := range corpus {
		names = append(names, name)
	}
	d.compare(t, names, func(s side, i int, tag string) outcome {
		return s.try(strings.ReplaceAll(corpus[names[i]], "TAG", tag), tag)
	})
	d.bothServe(t)
	if seen := d.sides[0].member.of("/case"); !strings.Contains(seen, "-smuggled") || strings.Count(seen, "\n---\n") < 20 {
		t.Errorf("hardly anything reached the member: %.500s", seen)
	}
	if text, err := os.ReadFile(filepath.Join(d.instance.Root(), "run/octavo/haproxy.cfg")); err != nil || strings.Contains(string(text), "accept-invalid") {
		t.Errorf("HAProxy is told to be lenient: %v %s", err, text)
	}
}
