package registry

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Form is how an image holds a module.
type Form string

// The forms. Istio's agent reads all but CNCF.
const (
	OCI      Form = "OCI"      // what `mooring image` writes: one layer, a compressed archive with plugin.wasm
	Docker   Form = "Docker"   // the same with Docker's media types, as `docker build` writes it
	Artifact Form = "artifact" // two layers, one of which is the module itself
	CNCF     Form = "CNCF"     // the layout of CNCF's TAG Runtime: one layer, the module itself
	Misnamed Form = "misnamed" // OCI, but the file in the archive is mooring.wasm
)

// wasmLayers are the media types of the module itself as a layer.
const (
	artifactLayer types.MediaType = "application/vnd.module.wasm.content.layer.v1+wasm"
	artifactMeta  types.MediaType = "application/vnd.module.wasm.config.v1+json"
	cncfLayer     types.MediaType = "application/wasm"
	cncfConfig    types.MediaType = "application/vnd.wasm.config.v0+json"
)

// Image makes an image of a module.
func Image(module []byte, form Form) (v1.Image, error) {
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	switch form {
	case OCI, Misnamed:
		file := map[Form]string{OCI: "plugin.wasm", Misnamed: "mooring.wasm"}[form]
		return appendArchive(image, file, module, types.OCILayer)
	case Docker:
		return appendArchive(empty.Image, "plugin.wasm", module, types.DockerLayer)
	case Artifact:
		return mutate.AppendLayers(image, static.NewLayer([]byte("{}"), artifactMeta), static.NewLayer(module, artifactLayer))
	case CNCF:
		image = mutate.ConfigMediaType(image, cncfConfig)
		return mutate.AppendLayers(image, static.NewLayer(module, cncfLayer))
	}
	return nil, fmt.Errorf("unknown form %s", form)
}

// Index makes an index of an image for linux/amd64 and linux/arm64, as a build for several platforms writes it.
func Index(image v1.Image) v1.ImageIndex {
	var index v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	return index
}

func appendArchive(image v1.Image, file string, module []byte, mediaType types.MediaType) (v1.Image, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(module))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(module); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromReader(&archive, tarball.WithMediaType(mediaType))
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(image, layer)
}

func push(reference name.Reference, image remote.Taggable) error {
	switch image := image.(type) {
	case v1.Image:
		return remote.Write(reference, image, remote.WithUserAgent(pusher))
	case v1.ImageIndex:
		return remote.WriteIndex(reference, image, remote.WithUserAgent(pusher))
	}
	return fmt.Errorf("%T is neither an image nor an index", image)
}

// SHA256 returns the checksum of a file, in hexadecimal digits.
func SHA256(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
