// Package image is localcloud's Glance: the part of the v2 API that the ordinary clients and the controller use. What an
// image holds is a file; an image that this machine can run names a built-in program in its property octavo_program.
package image

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// ProgramProperty names the program, built into octavo or beside it, that an instance of the image runs.
const ProgramProperty = "octavo_program"

// Options are what New needs.
type Options struct {
	State  *state.Store
	Dir    string // for the images' content; made when missing
	Tokens httpx.Authenticator
	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger
}

// Service answers the API.
type Service struct {
	opts  Options
	state *state.Store

	mu        sync.Mutex
	uploading map[string]bool // images that somebody sends content for
}

// New makes the service. It removes what an upload that was killed left behind.
func New(opts Options) (*Service, error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory for images: %w", err)
	}
	s := &Service{opts: opts, state: opts.State, uploading: map[string]bool{}}
	return s, s.sweep()
}

// sweep removes files that belong to no image with content.
func (s *Service) sweep() error {
	files, err := os.ReadDir(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("cannot list images: %w", err)
	}
	for _, f := range files {
		if i, err := state.Get[Image](s.state, f.Name()); err == nil && i.Status != queued {
			continue
		}
		if err := os.Remove(filepath.Join(s.opts.Dir, f.Name())); err != nil {
			return fmt.Errorf("cannot remove a left over image: %w", err)
		}
	}
	return nil
}

// Handler answers the paths under /image.
func (s *Service) Handler() http.Handler {
	rt := httpx.NewRouter("/image", httpx.Glance, s.opts.Tokens, s.opts.Logger)
	rt.Public("GET /", s.showVersions)
	rt.Public("GET /versions", s.showVersions)
	rt.Public("GET /v2", s.showVersions)
	rt.Handle("GET /v2/images", s.list)
	rt.Handle("POST /v2/images", s.create)
	rt.Handle("GET /v2/images/{id}", s.show)
	rt.Handle("PATCH /v2/images/{id}", s.update)
	rt.Handle("DELETE /v2/images/{id}", s.delete)
	rt.Handle("GET /v2/images/{id}/file", s.download)
	rt.Handle("PUT /v2/images/{id}/file", s.upload)
	rt.Handle("PUT /v2/images/{id}/tags/{tag}", s.addTag)
	rt.Handle("DELETE /v2/images/{id}/tags/{tag}", s.removeTag)
	rt.Handle("POST /v2/images/{id}/actions/{action}", s.act)
	rt.Handle("GET /v2/images/{id}/members", s.listMembers)
	rt.Handle("GET /v2/info/import", s.showImport)
	rt.Handle("GET /v2/schemas/image", s.showImageSchema)
	rt.Handle("GET /v2/schemas/images", s.showImagesSchema)
	return rt
}

// Get answers the image that anybody may have made, whoever asks; ok is false when there is none. It is for compute,
// which has asked as the caller before.
func (s *Service) Get(id string) (i Image, ok bool) {
	i, err := state.Get[Image](s.state, id)
	return i, err == nil
}

// Seed makes an image with content, for everybody if public, unless its owner has one of that name.
func (s *Service) Seed(name, owner, program string, public bool, tags ...string) error {
	if _, there := state.Find(s.state, func(i *Image) bool { return i.Owner == owner && i.Name != nil && *i.Name == name }); there {
		return nil
	}
	i := newImage(owner, s.now())
	i.Name, i.Tags = &name, append(i.Tags, tags...)
	i.DiskFormat, i.ContainerFormat = new("raw"), new("bare")
	i.Properties[ProgramProperty] = program
	if public {
		i.Visibility = "public"
	}
	content := fmt.Sprintf("An image of localcloud. Instances run the program %s of octavo.\n", program)
	if err := s.receive(&i, strings.NewReader(content)); err != nil {
		return err
	}
	return s.state.Put(i)
}

func (s *Service) now() time.Time { return s.opts.Clock().UTC().Truncate(time.Second) }

func (s *Service) path(id string) string { return filepath.Join(s.opts.Dir, id) }

// visible answers the image if the caller may see it; it hides the others' existence.
func (s *Service) visible(r *http.Request, who httpx.Caller) (Image, error) {
	i, err := state.Get[Image](s.state, r.PathValue("id"))
	if errors.Is(err, state.ErrNotFound) || !i.SeenBy(who) {
		return i, httpx.NotFound("", "No image found with ID %s", r.PathValue("id"))
	}
	return i, err
}

func newImage(owner string, now time.Time) Image {
	return Image{ID: uuid.NewString(), Status: queued, Visibility: "shared", Owner: owner, Tags: []string{},
		CreatedAt: now, UpdatedAt: now, Properties: map[string]string{}}
}
