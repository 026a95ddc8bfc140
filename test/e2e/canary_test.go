package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// canary is a secret that must be found nowhere, in each form that somebody could write it in.
type canary struct {
	name  string
	forms [][]byte
}

// canaryOf makes one of a text, or of the number that is the secret of a key in PEM.
func canaryOf(t *testing.T, name string, secret []byte) canary {
	t.Helper()
	if block, _ := pem.Decode(secret); block != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if secret, err = parsed.(*ecdsa.PrivateKey).Bytes(); err != nil {
			t.Fatal(err)
		}
	}
	digits := hex.EncodeToString(secret)
	c := canary{name: name, forms: [][]byte{secret, []byte(digits), []byte(strings.ToUpper(digits))}}
	for shift := range 3 { // whatever stands before it
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		for piece := range slices.Chunk([]byte(text[4:len(text)-4]), 12) { // lines of PEM end somewhere
			if len(piece) == 12 {
				c.forms = append(c.forms, piece)
			}
		}
	}
	return c
}

// in tells whether a text holds it.
func (c canary) in(text []byte) bool {
	return slices.ContainsFunc(c.forms, func(form []byte) bool { return bytes.Contains(text, form) })
}

// TestKeysAreNowhereInPlain takes private keys, and the passphrase of one, through the product at its most talkative: by
// the key manager, API, database, controller and agent to the listener that uses them. Nothing that was said or written to a
// disk on the way holds them in plain, also not for a request that was refused, or after a crash.
func TestKeysAreNowhereInPlain(t *testing.T) {
	t.Parallel()
	s := newStage(t, "--debug")
	v := vault{t, s.keyManager(t, "octavo")}
	web := s.web(t, named("web"))
	const first, second = "one.example", "two.example"
	plain, trust := certificate(t, first)
	encrypted, trustSecond := certificate(t, second)
	foreign, _ := certificate(t, first)
	mismatch := append(bytes.Clone(foreign[:bytes.Index(foreign, []byte("-----BEGIN CERT"))]), plain[bytes.Index(plain, []byte("-----BEGIN CERT")):]...)
	canaries := []canary{canaryOf(t, "the key", plain), canaryOf(t, "the encrypted key", encrypted), canaryOf(t, "the key of another certificate", foreign),
		canaryOf(t, "the passphrase", []byte("correct horse"))}

	sni := v.container(encrypted)
	listener := m{"name": "secure", "protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": v.put(plain), "sni_container_refs": []string{sni},
		"default_pool": pool([]m{member(web)})}
	lb, ip := s.balancer(t, listener)
	bad := m{"loadbalancer_id": lb.ID, "protocol": "TERMINATED_HTTPS", "protocol_port": 444, "default_tls_container_ref": v.put(mismatch)}
	if err := s.trySend("POST", "listeners", m{"listener": bad}, nil); err == nil {
		t.Error("a key that is not the certificate's is taken")
	}
	serves := func() {
		t.Helper()
		eventually(t, 20*time.Second, "both keys are used", func() error {
			if err := served(strict(trust, first), "https://"+ip+"/", "web"); err != nil {
				return err
			}
			return served(strict(trustSecond, second), "https://"+ip+"/", "web")
		})
	}
	serves()
	inMemory(t, canaries[:2])
	s.stop(t, syscall.SIGKILL)
	s.run(t, "--debug")
	s.tenant = s.octavo.tenant(t)
	s.change(t, lb, "listener", "listeners/"+lb.Listeners[0].ID, m{"timeout_client_data": 40_000})
	serves()

	var said bytes.Buffer
	said.WriteString(s.log.tail(1 << 30))
	for _, path := range []string{"loadbalancers/" + lb.ID + "/graph", "loadbalancers/" + lb.ID + "/status", "listeners/" + lb.Listeners[0].ID, "listeners?name=secure"} {
		var answer any
		s.send(t, "GET", path, nil, &answer)
		fmt.Fprintln(&said, answer)
	}
	said.WriteString(scrape(t, s.octavo.listen))
	if !strings.Contains(said.String(), "level=DEBUG") || !strings.Contains(said.String(), lb.Listeners[0].ID) {
		t.Fatalf("too little was said:\n%s", said.String())
	}
	texts := map[string][]byte{"what was said": said.Bytes()}
	commandLines(texts)
	s.files(t, texts)
	for where, text := range texts {
		for _, c := range canaries {
			if c.in(text) {
				t.Errorf("%s is in %s", c.name, where)
			}
		}
	}
	if !canaries[0].in(fmt.Appendf(nil, "x%q", plain)) || !canaries[1].in(fmt.Appendf(nil, "%x", openssl(t, encrypted, "pkcs8", "-topk8", "-nocrypt", "-outform", "DER"))) {
		t.Error("the canaries would not be found")
	}
}

// files reads what is on the disk of the service and its instances.
func (o *octavo) files(t *testing.T, into map[string][]byte) {
	t.Helper()
	read := 0
	err := filepath.WalkDir(o.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // it may have gone meanwhile
		}
		text, err := os.ReadFile(path)
		if err == nil {
			into[path] = text
			read += len(text)
		}
		return nil
	})
	if err != nil || into[filepath.Join(o.dir, "octavo.db")] == nil {
		t.Fatalf("%d bytes of files and no database, %v", read, err)
	}
}

// programs are the processes of a program, whoever started them, as directories in /proc.
func programs(names ...string) (dirs []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range all {
		if program, _ := os.Readlink(exe); slices.Contains(names, filepath.Base(program)) {
			dirs = append(dirs, filepath.Dir(exe))
		}
	}
	return dirs
}

// commandLines are those of the product's processes, with their environments.
func commandLines(into map[string][]byte) {
	for _, dir := range programs("octavo", "octavo-program", "haproxy") {
		for _, file := range []string{"cmdline", "environ"} {
			if text, err := os.ReadFile(filepath.Join(dir, file)); err == nil {
				into[filepath.Join(dir, file)] = text
			}
		}
	}
}

// inMemory fails unless an agent has each of the keys in a file that is kept in memory, and no other file.
func inMemory(t *testing.T, keys []canary) {
	t.Helper()
	found := map[string]bool{}
	for _, agent := range programs("octavo-program") {
		root := filepath.Join(agent, "root")
		for _, dir := range []string{"run", "tmp", "var/lib/octavo", "var/log"} {
			_ = filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
				if err != nil || !entry.Type().IsRegular() {
					return nil
				}
				text, _ := os.ReadFile(path)
				for _, key := range keys {
					if !key.in(text) {
						continue
					}
					var where unix.Statfs_t
					if err := unix.Statfs(path, &where); err != nil || where.Type != unix.TMPFS_MAGIC {
						t.Errorf("%s is in %s, which is not in memory", key.name, path)
					}
					found[key.name] = true
				}
				return nil
			})
		}
	}
	if len(found) != len(keys) {
		t.Errorf("agents have %v in files, want all of %d", found, len(keys))
	}
}
