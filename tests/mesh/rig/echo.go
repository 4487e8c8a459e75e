package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// echoImage is the image of Gateway API's own echo server; its pods run the program of which that image is made.
const echoImage = "/gateway-api/echo-basic:"

// echoPorts are the ports that the program listens on, with the variables that name others.
var echoPorts = []struct {
	number    int32
	variables []string
}{
	{3000, []string{"HTTP_PORT", "TCP_PORT"}},
	{3001, []string{"H2C_PORT"}},
	{8443, []string{"HTTPS_PORT", "TLS_PORT"}},
}

func isEcho(d *appsv1.Deployment) bool {
	return strings.Contains(d.Spec.Template.Spec.Containers[0].Image, echoImage)
}

// echo is a pod of this Deployment that runs the echo server. The program binds its ports on every address, so each pod's has
// ports of its own, and what comes to the pod's address is forwarded there.
func (s *Scenario) echo(pod *Pod, d *appsv1.Deployment) {
	for _, port := range echoPorts {
		pod.ports = append(pod.ports, corev1.ContainerPort{ContainerPort: port.number})
	}
	pod.log = &podLog{}
	pod.run = func() ([]server, error) {
		dir := filepath.Join(s.Cluster.dir, s.Namespace)
		mounts, err := s.mountSecrets(filepath.Join(dir, pod.Namespace+"."+pod.Name), pod.Namespace, &d.Spec.Template.Spec)
		if err != nil {
			return nil, err
		}
		own, env := map[int32]int{}, pod.environment(d.Spec.Template.Spec.Containers[0].Env, mounts)
		for _, port := range echoPorts {
			own[port.number] = nextGatewayPort()
			for _, variable := range port.variables {
				env = append(env, fmt.Sprintf("%s=%d", variable, own[port.number]))
			}
		}
		program, err := startInto(pod.log, dir, pod.Namespace+"."+pod.Name, env, filepath.Join(cache, "bin", "echo-basic"))
		if err != nil {
			return nil, err
		}
		servers := []server{processServer{program}}
		for number, port := range own {
			f, err := forward(fmt.Sprintf("%s:%d", pod.IP, number), fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return servers, err
			}
			servers = append(servers, forwarderServer{f})
		}
		return servers, awaitPort(program, own[echoPorts[0].number])
	}
}

func awaitPort(program *Process, port int) error {
	return poll(program.Name+" listens", func() error {
		if err := program.Died(); err != nil {
			return hopeless{err}
		}
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
}

// environment are the variables of a container, as a kubelet resolves them. Where files are mounted, the folder on this machine
// takes the place of the container's.
func (p *Pod) environment(variables []corev1.EnvVar, mounts map[string]string) []string {
	var env []string
	for _, v := range variables {
		value := v.Value
		if v.ValueFrom != nil && v.ValueFrom.FieldRef != nil {
			switch v.ValueFrom.FieldRef.FieldPath {
			case "metadata.name":
				value = p.Name
			case "metadata.namespace":
				value = p.Namespace
			}
		}
		for mount, dir := range mounts {
			if file, ok := strings.CutPrefix(value, mount+"/"); ok {
				value = filepath.Join(dir, file)
			}
		}
		env = append(env, v.Name+"="+value)
	}
	return env
}

// mountSecrets writes the files of the Secrets that the only container of a pod mounts, and says where each mount is.
func (s *Scenario) mountSecrets(dir, namespace string, spec *corev1.PodSpec) (map[string]string, error) {
	mounts := map[string]string{}
	for _, volume := range spec.Volumes {
		if volume.Secret == nil {
			continue
		}
		obj, err := s.Cluster.kube.get(corev1.SchemeGroupVersion.WithKind("Secret"), namespace, volume.Secret.SecretName)
		if err != nil {
			return nil, err
		}
		var secret corev1.Secret
		if err := into(obj, &secret); err != nil {
			return nil, err
		}
		to := filepath.Join(dir, volume.Name)
		if err := os.MkdirAll(to, 0o700); err != nil {
			return nil, err
		}
		for _, item := range volume.Secret.Items {
			if err := os.WriteFile(filepath.Join(to, item.Path), secret.Data[item.Key], 0o600); err != nil {
				return nil, err
			}
		}
		for _, mount := range spec.Containers[0].VolumeMounts {
			if mount.Name == volume.Name {
				mounts[mount.MountPath] = to
			}
		}
	}
	return mounts, nil
}

// A processServer is what a pod runs as a program of its own.
type processServer struct{ *Process }

func (s processServer) Close() error {
	s.Kill()
	return nil
}

func (s processServer) Shutdown(context.Context) error {
	s.Stop()
	return nil
}

type forwarderServer struct{ *forwarder }

func (s forwarderServer) Shutdown(context.Context) error { return s.Close() }
