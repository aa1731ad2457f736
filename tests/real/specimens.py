"""An object of each kind, with as many fields as go together, for the API server to judge."""

from __future__ import annotations

from typing import Any

SELECTOR: dict[str, Any] = {"matchLabels": {"app": "x"}}
TERM: dict[str, Any] = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
TERM_OF_PODS: dict[str, Any] = {
    "topologyKey": "z",
    "labelSelector": SELECTOR,
    "namespaceSelector": SELECTOR,
    "namespaces": ["a"],
}
CONTAINER: dict[str, Any] = {
    "name": "app",
    "image": "a:1",
    "command": ["a"],
    "args": ["b"],
    "ports": [{"containerPort": 80, "name": "http"}],
    "env": [
        {"name": "A", "value": "x"},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {
            "name": "C",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "containerName": "app"}},
        },
        {"name": "D", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}},
        {"name": "E", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
    ],
    "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "a"}}],
    "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}, "claims": []},
    "livenessProbe": {"httpGet": {"port": 80, "httpHeaders": [{"name": "a", "value": "b"}]}},
    "readinessProbe": {"tcpSocket": {"port": 80}},
    "startupProbe": {"exec": {"command": ["a"]}},
    "lifecycle": {"preStop": {"httpGet": {"port": 80}}, "postStart": {"exec": {"command": ["a"]}}},
    "volumeMounts": [{"name": "v0", "mountPath": "/a"}],
    "securityContext": {
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
        "seLinuxOptions": {"level": "a"},
        "appArmorProfile": {"type": "RuntimeDefault"},
    },
}
POD: dict[str, Any] = {
    "containers": [
        CONTAINER,
        {
            "name": "g",
            "image": "a:1",
            "livenessProbe": {"grpc": {"port": 80}},
            "volumeDevices": [{"name": "v5", "devicePath": "/d"}],
        },
    ],
    "initContainers": [{"name": "i", "image": "a:1", "resources": {"limits": {"cpu": "1"}}}],
    "volumes": [
        {"name": "v0", "emptyDir": {}},
        {"name": "v1", "configMap": {"name": "a", "items": [{"key": "a", "path": "b"}]}},
        {"name": "v2", "secret": {"secretName": "a", "items": [{"key": "a", "path": "b"}]}},
        {
            "name": "v3",
            "projected": {
                "sources": [
                    {"configMap": {"name": "a"}},
                    {"secret": {"name": "a"}},
                    {"serviceAccountToken": {"path": "t"}},
                    {
                        "downwardAPI": {
                            "items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]
                        }
                    },
                ]
            },
        },
        {
            "name": "v4",
            "downwardAPI": {
                "items": [
                    {"path": "p", "fieldRef": {"fieldPath": "metadata.name"}},
                    {
                        "path": "q",
                        "resourceFieldRef": {"resource": "limits.cpu", "containerName": "app"},
                    },
                ]
            },
        },
        {"name": "v5", "persistentVolumeClaim": {"claimName": "a"}},
        {
            "name": "v6",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "metadata": {},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }
            },
        },
        {"name": "v7", "hostPath": {"path": "/x"}},
        {"name": "v8", "nfs": {"server": "a", "path": "/b"}},
        {"name": "v9", "csi": {"driver": "a.b"}},
        {"name": "v10", "image": {"reference": "a:1"}},
    ],
    "securityContext": {
        "seccompProfile": {"type": "RuntimeDefault"},
        "seLinuxOptions": {"level": "a"},
        "sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}],
    },
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [TERM]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": TERM}],
        },
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [TERM_OF_PODS],
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": TERM_OF_PODS}
            ],
        },
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM_OF_PODS]},
    },
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "topologySpreadConstraints": [
        {
            "topologyKey": "z",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": SELECTOR,
        }
    ],
    "dnsConfig": {"nameservers": ["1.1.1.1"], "options": [{"name": "a"}]},
    "hostAliases": [{"ip": "1.1.1.1", "hostnames": ["a"]}],
    "imagePullSecrets": [{"name": "a"}],
    "readinessGates": [{"conditionType": "a.b/c"}],
    "nodeSelector": {"a": "b"},
}
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "x"}, "annotations": {"a": "b"}},
    "spec": POD,
}
CLAIM: dict[str, Any] = {
    "storageClassName": "a",
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}},
    "selector": SELECTOR,
}
META: dict[str, Any] = {"name": "x", "labels": {"a": "b"}, "annotations": {"a": "b"}}
SMALL_TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {"containers": [{"name": "a", "image": "a:1"}]},
}
JOB_TEMPLATE: dict[str, Any] = {
    "metadata": {},
    "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}]},
}


def an_object(api_version: str, kind: str, **rest: Any) -> dict[str, Any]:
    """An object of a kind."""
    return {"apiVersion": api_version, "kind": kind, "metadata": META, **rest}


SPECIMENS: list[dict[str, Any]] = [
    an_object("v1", "ConfigMap", data={"a": "b"}, binaryData={"c": "YQ=="}),
    an_object("v1", "Secret", data={"a": "YQ=="}, type="Opaque"),
    an_object("v1", "ServiceAccount", imagePullSecrets=[{"name": "a"}], secrets=[{"name": "a"}]),
    an_object(
        "v1", "Service", spec={"selector": {"a": "b"}, "ports": [{"port": 80, "name": "http"}]}
    ),
    an_object(
        "v1",
        "Service",
        spec={"selector": {"a": "b"}, "type": "LoadBalancer", "ports": [{"port": 80}]},
    ),
    an_object("v1", "PersistentVolumeClaim", spec=CLAIM),
    an_object(
        "v1",
        "ResourceQuota",
        spec={
            "hard": {"pods": "1"},
            "scopeSelector": {
                "matchExpressions": [
                    {"scopeName": "PriorityClass", "operator": "In", "values": ["a"]}
                ]
            },
        },
    ),
    an_object(
        "v1",
        "LimitRange",
        spec={
            "limits": [
                {
                    "type": "Container",
                    "max": {"cpu": "2"},
                    "min": {"cpu": "1"},
                    "default": {"cpu": "1"},
                    "defaultRequest": {"cpu": "1"},
                    "maxLimitRequestRatio": {"cpu": "2"},
                }
            ]
        },
    ),
    # The server adds tolerations of its own to a pod's.
    an_object("v1", "Pod", spec={key: POD[key] for key in POD if key != "tolerations"}),
    an_object(
        "apps/v1",
        "Deployment",
        spec={"selector": SELECTOR, "template": TEMPLATE, "strategy": {"rollingUpdate": {}}},
    ),
    an_object("apps/v1", "ReplicaSet", spec={"selector": SELECTOR, "template": SMALL_TEMPLATE}),
    an_object(
        "apps/v1",
        "DaemonSet",
        spec={
            "selector": SELECTOR,
            "template": SMALL_TEMPLATE,
            "updateStrategy": {"rollingUpdate": {}},
        },
    ),
    an_object(
        "apps/v1",
        "StatefulSet",
        spec={
            "selector": SELECTOR,
            "serviceName": "a",
            "template": SMALL_TEMPLATE,
            "updateStrategy": {"rollingUpdate": {}},
            "volumeClaimTemplates": [
                {"metadata": {"name": "c", "labels": {"a": "b"}}, "spec": CLAIM}
            ],
            "persistentVolumeClaimRetentionPolicy": {},
            "ordinals": {"start": 1},
        },
    ),
    an_object(
        "batch/v1",
        "Job",
        spec={
            "template": JOB_TEMPLATE,
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}]
            },
        },
    ),
    an_object(
        "batch/v1",
        "CronJob",
        spec={
            "schedule": "* * * * *",
            "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"template": JOB_TEMPLATE}},
        },
    ),
    an_object(
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        spec={
            "maxReplicas": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"},
        },
    ),
    an_object(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={
            "maxReplicas": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "memory",
                        "target": {"type": "AverageValue", "averageValue": "1000m"},
                    },
                },
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": "a", "selector": SELECTOR},
                        "target": {"type": "AverageValue", "averageValue": "1"},
                    },
                },
                {
                    "type": "Object",
                    "object": {
                        "describedObject": {"kind": "Service", "name": "a", "apiVersion": "v1"},
                        "metric": {"name": "a"},
                        "target": {"type": "Value", "value": "1"},
                    },
                },
                {
                    "type": "External",
                    "external": {
                        "metric": {"name": "a"},
                        "target": {"type": "Value", "value": "1"},
                    },
                },
                {
                    "type": "ContainerResource",
                    "containerResource": {
                        "container": "a",
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 50},
                    },
                },
            ],
            "behavior": {
                "scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
                "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
            },
        },
    ),
    an_object(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        spec={
            "podSelector": SELECTOR,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [
                        {"podSelector": SELECTOR, "namespaceSelector": SELECTOR},
                        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                    ],
                    "ports": [{"port": 80}],
                }
            ],
            "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 80}]}],
        },
    ),
    an_object(
        "networking.k8s.io/v1",
        "Ingress",
        spec={
            "rules": [
                {
                    "host": "a.b",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "a", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
            "tls": [{"hosts": ["a.b"]}],
        },
    ),
    an_object("policy/v1", "PodDisruptionBudget", spec={"minAvailable": 1, "selector": SELECTOR}),
    an_object(
        "rbac.authorization.k8s.io/v1",
        "Role",
        rules=[
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}
        ],
    ),
    an_object(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"},
        subjects=[{"kind": "ServiceAccount", "name": "a", "namespace": "a"}],
    ),
    an_object("coordination.k8s.io/v1", "Lease", spec={"holderIdentity": "a"}),
]
