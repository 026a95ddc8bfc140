package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/store"
)

// MakeProgramKey makes the key that agent programs are signed with: the private one in path, the public one in path.pub.
// Files that are there are not replaced.
func MakeProgramKey(path string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := createFile(path, 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return err
	}
	return createFile(path+".pub", 0o644, []byte(base64.StdEncoding.EncodeToString(public)+"\n"))
}

func createFile(path string, mode fs.FileMode, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// readProgramKey reads a public key; none for no path.
func readProgramKey(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(text))
	if _, err := agentapi.ParseProgramKey(key); err != nil {
		return "", fmt.Errorf("%s: %w, as octavo agent key writes it to a file that ends in .pub", path, err)
	}
	return key, nil
}

func readSigningKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not a private key that octavo agent key made", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := key.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 key", path)
	}
	return private, nil
}

// standaloneProgramKey makes a key with the first start: on this machine, whoever may read it may do anything.
func standaloneProgramKey(dir *dataDir) (string, error) {
	path := dir.file("octavo.agent-key")
	if err := MakeProgramKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("cannot make the key for agent programs: %w", err)
	}
	return readProgramKey(path + ".pub")
}

// signatureFile is where SignProgram puts what is signed.
func signatureFile(program string) string { return program + ".signed.json" }

// SignProgram signs an agent program. What UpdateAgents needs of that is written beside it, so that the private key can stay
// on another machine.
func SignProgram(ctx context.Context, file, keyFile string, out io.Writer) error {
	key, err := readSigningKey(keyFile)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	said, err := exec.CommandContext(ctx, path, "--version").Output()
	version, ours := strings.CutPrefix(strings.TrimSpace(string(said)), "octavo-agent ")
	if err != nil || !ours || len(version) > 64 {
		return fmt.Errorf("%s does not say that it is octavo-agent: it answered %.100q to --version", file, said)
	}
	sum := sha256.Sum256(content)
	p := agentapi.Program{Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)), Version: version, Signed: time.Now().UTC().Truncate(time.Second)}
	p.Sign(key)
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(signatureFile(file), append(text, '\n')); err != nil {
		return err
	}
	fmt.Fprintf(out, "signed octavo-agent %s, SHA-256 %s\n", p.Version, p.Digest)
	return nil
}

// UpdateOptions are the flags of octavo agent update.
type UpdateOptions struct {
	RolloutOptions
	File string // the agent program, signed
	Key  string // signs it first
}

// UpdateAgents uploads a signed agent program and has amphorae run it.
func UpdateAgents(ctx context.Context, o UpdateOptions) error {
	s, err := o.signIn(ctx)
	if err != nil {
		return err
	}
	balancers, err := s.balancers()
	if err != nil {
		return err
	}
	c := rolloutClient{balancers, "agent"}
	if o.Show || o.Stop {
		return c.carryOut(ctx, o.RolloutOptions)
	}
	if o.File == "" {
		return errors.New("give the agent program to roll out")
	}
	if o.Key != "" {
		if err := SignProgram(ctx, o.File, o.Key, o.Out); err != nil {
			return err
		}
	}
	if err := c.upload(ctx, o.File); err != nil {
		return err
	}
	return c.carryOut(ctx, o.RolloutOptions)
}

func (c rolloutClient) upload(ctx context.Context, file string) error {
	text, err := os.ReadFile(signatureFile(file))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not signed: octavo agent sign signs it, or give --key", file)
	}
	var p agentapi.Program
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for part := 0; part*store.ProgramPart < len(content); part++ {
		piece := content[part*store.ProgramPart : min(len(content), (part+1)*store.ProgramPart)]
		o := gophercloud.RequestOpts{OkCodes: []int{http.StatusNoContent}, RawBody: bytes.NewReader(piece),
			MoreHeaders: map[string]string{"Content-Type": "application/octet-stream"}}
		if err := c.put(ctx, o, p.Digest, fmt.Sprint(part)); err != nil {
			return err
		}
	}
	body := map[string]any{"program": map[string]any{"size": p.Size, "version": p.Version, "signed": p.Signed.Format(time.RFC3339),
		"signature": base64.StdEncoding.EncodeToString(p.Signature)}}
	return c.put(ctx, gophercloud.RequestOpts{OkCodes: []int{http.StatusNoContent}, JSONBody: body}, p.Digest)
}

func (c rolloutClient) put(ctx context.Context, o gophercloud.RequestOpts, path ...string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.balancers.Request(ctx, http.MethodPut, c.balancers.ServiceURL(append([]string{"octavia", "programs"}, path...)...), &o)
	if refused, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err); ok {
		var said struct{ Faultstring string }
		if json.Unmarshal(refused.Body, &said) == nil && said.Faultstring != "" {
			return errors.New(said.Faultstring)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot upload the agent program: %w", err)
	}
	return nil
}
