// Package kubelet plays the scheduler and the kubelet for pods that a real controller creates, such as that of ReplicaSets.
package kubelet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"mooring.dev/tests/mesh/internal/cluster"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/pods"
	"mooring.dev/tests/mesh/internal/testenv"
	"mooring.dev/tests/mesh/internal/wait"
)

// nodeName is the Node that all pods run on.
const nodeName = "rig"

// These labels are on pods of ReplicaSets: of Deployments, and of Argo Rollouts.
const hashLabel, rolloutsHashLabel = "pod-template-hash", "rollouts-pod-template-hash"

// Unused returns an error while a proxy can still send a request to a pod.
type Unused func(*pods.Pod) error

// A Kubelet runs the pods of one namespace that ReplicaSets own: a server for each, on an address of its own. A pod that is deleted serves
// until its preStop hook has ended and no proxy uses it any more. It is safe for concurrent use.
type Kubelet struct {
	env       *testenv.Env
	client    *kubernetes.Clientset
	namespace string
	unused    Unused
	stop      context.CancelFunc
	ended     sync.WaitGroup

	mu      sync.Mutex
	running map[types.UID]*container
	failed  []error
}

// A container is the server of a pod.
type container struct {
	pod     *pods.Pod
	sleep   time.Duration // of its preStop hook
	deleted chan struct{} // closed when the pod is to end
	ending  sync.Once
}

// Start starts a kubelet for a namespace. It ends with the test.
func Start(t testing.TB, env *testenv.Env, c *cluster.Cluster, namespace string, unused Unused) *Kubelet {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Kube.Config)
	if err != nil {
		t.Fatal(err)
	}
	node := kube.Ref("v1", "Node", "", nodeName)
	if _, err := c.Kube.Apply(node); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Kubelet{
		env: env, client: client, namespace: namespace, unused: unused, stop: stop,
		running: map[types.UID]*container{},
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().Pods().Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { k.observe(ctx, obj) },
		UpdateFunc: func(_, obj any) { k.observe(ctx, obj) },
	})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	t.Cleanup(func() { k.end(t) })
	return k
}

// Pods returns the pods that run now.
func (k *Kubelet) Pods() []*pods.Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []*pods.Pod
	for _, c := range k.running {
		all = append(all, c.pod)
	}
	return all
}

// observe starts a new pod, and ends one that is deleted.
func (k *Kubelet) observe(ctx context.Context, obj any) {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.Labels[hashLabel] == "" && pod.Labels[rolloutsHashLabel] == "" || ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.running[pod.UID]
	if c == nil && pod.DeletionTimestamp == nil && pod.Status.PodIP == "" {
		c = &container{deleted: make(chan struct{}), pod: k.serverOf(pod), sleep: sleepOf(pod)}
		k.running[pod.UID] = c
		k.ended.Go(func() { k.run(ctx, c, pod.UID) })
	}
	if c != nil && pod.DeletionTimestamp != nil {
		c.ending.Do(func() { close(c.deleted) })
	}
}

func (k *Kubelet) serverOf(pod *corev1.Pod) *pods.Pod {
	p := &pods.Pod{Name: pod.Name, Namespace: pod.Namespace, IP: k.env.NextIP(), Labels: pod.Labels, Version: versionOf(pod)}
	for _, container := range pod.Spec.Containers {
		p.Ports = append(p.Ports, container.Ports...)
	}
	return p
}

// versionOf returns the label "version" of a pod, or else the tag of its first container's image.
func versionOf(pod *corev1.Pod) string {
	if version, labelled := pod.Labels["version"]; labelled {
		return version
	}
	_, tag, _ := strings.Cut(pod.Spec.Containers[0].Image, ":")
	return tag
}

// sleepOf returns how long the preStop hook of a pod's first container sleeps.
func sleepOf(pod *corev1.Pod) time.Duration {
	lifecycle := pod.Spec.Containers[0].Lifecycle
	if lifecycle == nil || lifecycle.PreStop == nil || lifecycle.PreStop.Sleep == nil {
		return 0
	}
	return time.Duration(lifecycle.PreStop.Sleep.Seconds) * time.Second
}

// run is the life of a pod.
func (k *Kubelet) run(ctx context.Context, c *container, uid types.UID) {
	err := c.pod.Start()
	if err == nil {
		err = k.report(ctx, c.pod)
	}
	if err != nil && ctx.Err() == nil {
		k.fail(fmt.Errorf("pod %s: %w", c.pod.Name, err))
	}
	select {
	case <-ctx.Done():
		return
	case <-c.deleted:
	}
	if err := k.remove(ctx, c); err != nil && ctx.Err() == nil {
		k.fail(fmt.Errorf("pod %s: %w", c.pod.Name, err))
	}
	k.mu.Lock()
	delete(k.running, uid)
	k.mu.Unlock()
}

// report binds a pod to the Node and writes the status of one that is ready.
func (k *Kubelet) report(ctx context.Context, p *pods.Pod) error {
	api := k.client.CoreV1().Pods(p.Namespace)
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}, Target: corev1.ObjectReference{Kind: "Node", Name: nodeName},
	}
	if err := api.Bind(ctx, binding, metav1.CreateOptions{}); err != nil && !apierrors.IsConflict(err) {
		return gone(err)
	}
	return k.setReady(ctx, p, corev1.ConditionTrue)
}

// setReady writes the status of a running pod.
func (k *Kubelet) setReady(ctx context.Context, p *pods.Pod, ready corev1.ConditionStatus) error {
	api := k.client.CoreV1().Pods(p.Namespace)
	pod, err := api.Get(ctx, p.Name, metav1.GetOptions{})
	if err != nil {
		return gone(err)
	}
	now := metav1.Now()
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, p.IP, []corev1.PodIP{{IP: p.IP}}
	if pod.Status.StartTime == nil {
		pod.Status.StartTime = &now
	}
	pod.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: corev1.ContainersReady, Status: ready, LastTransitionTime: now},
		{Type: corev1.PodReady, Status: ready, LastTransitionTime: now},
	}
	_, err = api.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return gone(err)
}

// gone forgives that a pod has been deleted before it was ready.
func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// remove ends a pod that is terminating, when no proxy uses it any more. If its Service has Istio's label for sessions, proxies use it as long
// as it is ready: until its preStop hook has ended.
func (k *Kubelet) remove(ctx context.Context, c *container) error {
	p, began, ready := c.pod, time.Now(), true
	err := wait.Until("no proxy uses the pod "+p.Name, func() error {
		if ctx.Err() != nil {
			return wait.Permanent(ctx.Err())
		}
		if ready && time.Since(began) >= c.sleep {
			if err := k.setReady(ctx, p, corev1.ConditionFalse); err != nil {
				return err
			}
			ready = false
		}
		return k.unused(p)
	})
	if err != nil {
		return err
	}
	if err := p.Shutdown(); err != nil {
		return err
	}
	now := int64(0)
	err = k.client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	return gone(err)
}

func (k *Kubelet) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed = append(k.failed, err)
}

// end ends all pods, and deletes them.
func (k *Kubelet) end(t testing.TB) {
	k.stop()
	k.ended.Wait()
	if err := errors.Join(k.failed...); err != nil {
		t.Error(err)
	}
	for _, p := range k.Pods() {
		p.Crash()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	now := int64(0)
	for _, label := range []string{hashLabel, rolloutsHashLabel} {
		err := k.client.CoreV1().Pods(k.namespace).DeleteCollection(ctx,
			metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{LabelSelector: label})
		if err != nil {
			t.Error(err)
		}
	}
}
