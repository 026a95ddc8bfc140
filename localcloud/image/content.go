package image

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// upload takes an image's content, once.
func (s *Service) upload(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	i, err := s.visible(r, who)
	if err != nil {
		return err
	}
	if !who.Sees(i.Owner) {
		return httpx.Forbidden("", "You are not authorized to complete upload_image action.")
	}
	if r.Header.Get("Content-Type") != "application/octet-stream" {
		return httpx.Errorf(http.StatusUnsupportedMediaType, "", "Content-Type must be application/octet-stream.")
	}
	if i.DiskFormat == nil || i.ContainerFormat == nil {
		return httpx.BadRequest("", "Properties disk_format, container_format must be set prior to saving data.")
	}
	if !s.begin(i.ID) {
		return httpx.Conflict("", "Somebody else is uploading image %s.", i.ID)
	}
	defer s.end(i.ID)
	if i, _ = state.Get[Image](s.state, i.ID); i.Status != queued { // only now nobody else can change that
		return httpx.Conflict("", "Image status transition from %s to saving is not allowed", i.Status)
	}
	if err := s.receive(&i, r.Body); err != nil {
		return err
	}
	if err := s.activate(i); err != nil {
		os.Remove(s.path(i.ID))
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) begin(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploading[id] {
		return false
	}
	s.uploading[id] = true
	return true
}

func (s *Service) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploading, id)
}

// activate writes what was learned from the content into the image, as it is now.
func (s *Service) activate(received Image) error {
	return s.state.Update(func(tx *state.Tx) error {
		i, err := state.Get[Image](tx, received.ID)
		if err != nil {
			return httpx.Errorf(http.StatusGone, "", "Image %s was deleted during its upload.", received.ID)
		}
		i.Status, i.Size, i.Checksum = active, received.Size, received.Checksum
		i.HashAlgo, i.HashValue, i.UpdatedAt = received.HashAlgo, received.HashValue, s.now()
		return tx.Put(i)
	})
}

// receive writes the content to the image's file, which is there only when it is complete, and what follows from it to i.
func (s *Service) receive(i *Image, content io.Reader) error {
	f, err := os.CreateTemp(s.opts.Dir, "upload-")
	if err != nil {
		return fmt.Errorf("cannot store an image: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	weak, strong := md5.New(), sha512.New()
	size, err := io.Copy(io.MultiWriter(f, weak, strong), content)
	if err != nil {
		return fmt.Errorf("cannot store an image: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("cannot store an image: %w", err)
	}
	if err := os.Rename(f.Name(), s.path(i.ID)); err != nil {
		return fmt.Errorf("cannot store an image: %w", err)
	}
	i.Status, i.Size, i.Checksum = active, &size, new(hex.EncodeToString(weak.Sum(nil)))
	i.HashAlgo, i.HashValue = new("sha512"), new(hex.EncodeToString(strong.Sum(nil)))
	return nil
}

func (s *Service) download(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	i, err := s.visible(r, who)
	if err != nil {
		return err
	}
	switch {
	case i.Status == queued:
		return httpx.NoContent(w)
	case i.Status == deactivated && !who.IsAdmin:
		return httpx.Forbidden("", "The requested image has been deactivated. Image data download is forbidden.")
	}
	f, err := os.Open(s.path(i.ID))
	if err != nil {
		return fmt.Errorf("cannot read the content of image %s: %w", i.ID, err)
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-MD5", text(i.Checksum))
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}
