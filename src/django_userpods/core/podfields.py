"""The fields of a pod's ``spec`` and below, by type."""

from __future__ import annotations

from django_userpods.core.fields import ANY, Type, type_of

POD_TYPES: dict[str, Type] = {
    "PodSpec": type_of(
        of={
            "affinity": "Affinity",
            "containers": "Container",
            "dnsConfig": "PodDNSConfig",
            "ephemeralContainers": "Container",
            "imagePullSecrets": "LocalObjectReference",
            "initContainers": "Container",
            "resources": "ResourceRequirements",
            "securityContext": "PodSecurityContext",
            "topologySpreadConstraints": "TopologySpreadConstraint",
            "volumes": "Volume",
        },
        keys={
            "containers": "name",
            "ephemeralContainers": "name",
            "hostAliases": "ip",
            "imagePullSecrets": "name",
            "initContainers": "name",
            "resourceClaims": "name",
            "schedulingGates": "name",
            "topologySpreadConstraints": "topologyKey whenUnsatisfiable",
            "volumes": "name",
        },
        quantities="overhead",
        whole="nodeSelector",
        counts=(
            "affinity automountServiceAccountToken dnsConfig enableServiceLinks hostUsers "
            "priority resources securityContext setHostnameAsFQDN shareProcessNamespace "
            "terminationGracePeriodSeconds"
        ),
        default={
            "dnsPolicy": "ClusterFirst",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "serviceAccount": "default",
            "serviceAccountName": "default",
            "tolerations": ANY,
        },
    ),
    "Affinity": type_of(
        of={
            "nodeAffinity": "NodeAffinity",
            "podAffinity": "PodAffinity",
            "podAntiAffinity": "PodAntiAffinity",
        },
        counts="nodeAffinity podAffinity podAntiAffinity",
    ),
    "NodeAffinity": type_of(
        of={
            "preferredDuringSchedulingIgnoredDuringExecution": "PreferredSchedulingTerm",
            "requiredDuringSchedulingIgnoredDuringExecution": "NodeSelector",
        }
    ),
    "PreferredSchedulingTerm": type_of(of={"preference": "NodeSelectorTerm"}, counts="preference"),
    "NodeSelectorTerm": type_of(atomic=True),
    "NodeSelector": type_of(of={"nodeSelectorTerms": "NodeSelectorTerm"}, atomic=True),
    "PodAffinity": type_of(
        of={
            "preferredDuringSchedulingIgnoredDuringExecution": "WeightedPodAffinityTerm",
            "requiredDuringSchedulingIgnoredDuringExecution": "PodAffinityTerm",
        }
    ),
    "WeightedPodAffinityTerm": type_of(of={"podAffinityTerm": "PodAffinityTerm"}),
    "PodAffinityTerm": type_of(
        of={"labelSelector": "LabelSelector", "namespaceSelector": "LabelSelector"},
        counts="labelSelector namespaceSelector",
    ),
    "PodAntiAffinity": type_of(
        of={
            "preferredDuringSchedulingIgnoredDuringExecution": "WeightedPodAffinityTerm",
            "requiredDuringSchedulingIgnoredDuringExecution": "PodAffinityTerm",
        }
    ),
    "Container": type_of(
        of={
            "env": "EnvVar",
            "envFrom": "EnvFromSource",
            "lifecycle": "Lifecycle",
            "livenessProbe": "Probe",
            "ports": "ContainerPort",
            "readinessProbe": "Probe",
            "resources": "ResourceRequirements",
            "restartPolicyRules": "ContainerRestartRule",
            "securityContext": "SecurityContext",
            "startupProbe": "Probe",
        },
        keys={
            "env": "name",
            "ports": "containerPort protocol",
            "volumeDevices": "devicePath",
            "volumeMounts": "mountPath",
        },
        counts="lifecycle resources securityContext",
        default={
            "imagePullPolicy": ANY,
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        },
    ),
    "EnvVar": type_of(one_of="value valueFrom", of={"valueFrom": "EnvVarSource"}),
    "EnvVarSource": type_of(
        one_of="configMapKeyRef fieldRef fileKeyRef resourceFieldRef secretKeyRef",
        of={
            "configMapKeyRef": "ConfigMapKeySelector",
            "fieldRef": "ObjectFieldSelector",
            "fileKeyRef": "FileKeySelector",
            "resourceFieldRef": "ResourceFieldSelector",
            "secretKeyRef": "SecretKeySelector",
        },
    ),
    "ConfigMapKeySelector": type_of(counts="optional", atomic=True),
    "ObjectFieldSelector": type_of(default={"apiVersion": "v1"}, atomic=True),
    "FileKeySelector": type_of(atomic=True),
    "ResourceFieldSelector": type_of(quantities="divisor", atomic=True),
    "SecretKeySelector": type_of(counts="optional", atomic=True),
    "EnvFromSource": type_of(
        of={"configMapRef": "ConfigMapEnvSource", "secretRef": "SecretEnvSource"}
    ),
    "ConfigMapEnvSource": type_of(counts="optional"),
    "SecretEnvSource": type_of(counts="optional"),
    "Lifecycle": type_of(of={"postStart": "LifecycleHandler", "preStop": "LifecycleHandler"}),
    "LifecycleHandler": type_of(
        one_of="exec httpGet sleep tcpSocket", of={"httpGet": "HTTPGetAction"}
    ),
    "HTTPGetAction": type_of(
        of={"httpHeaders": "HTTPHeader"}, default={"path": "/", "scheme": "HTTP"}
    ),
    "HTTPHeader": type_of(counts="value"),
    "Probe": type_of(
        one_of="exec grpc httpGet tcpSocket",
        of={"grpc": "GRPCAction", "httpGet": "HTTPGetAction"},
        default={
            "failureThreshold": 3,
            "periodSeconds": 10,
            "successThreshold": 1,
            "timeoutSeconds": 1,
        },
    ),
    "GRPCAction": type_of(counts="service"),
    "ContainerPort": type_of(default={"protocol": "TCP"}),
    "ResourceRequirements": type_of(keys={"claims": "name"}, quantities="limits requests"),
    "ContainerRestartRule": type_of(of={"exitCodes": "ContainerRestartRuleOnExitCodes"}),
    "ContainerRestartRuleOnExitCodes": type_of(sets="values"),
    "SeccompProfile": type_of(one_of="localhostProfile type"),
    "AppArmorProfile": type_of(one_of="localhostProfile type"),
    "SecurityContext": type_of(
        of={"appArmorProfile": "AppArmorProfile", "seccompProfile": "SeccompProfile"},
        counts=(
            "allowPrivilegeEscalation capabilities privileged readOnlyRootFilesystem "
            "runAsGroup runAsNonRoot runAsUser seLinuxOptions windowsOptions"
        ),
    ),
    "PodDNSConfig": type_of(of={"options": "PodDNSConfigOption"}),
    "PodDNSConfigOption": type_of(counts="value"),
    "PodSecurityContext": type_of(
        of={
            "appArmorProfile": "AppArmorProfile",
            "seccompProfile": "SeccompProfile",
            "sysctls": "Sysctl",
        },
        counts=("fsGroup runAsGroup runAsNonRoot runAsUser seLinuxOptions windowsOptions"),
    ),
    "Sysctl": type_of(counts="value"),
    "TopologySpreadConstraint": type_of(
        of={"labelSelector": "LabelSelector"}, counts="labelSelector"
    ),
    "Volume": type_of(
        one_of="*",
        of={
            "configMap": "ConfigMapVolumeSource",
            "csi": "CSIVolumeSource",
            "downwardAPI": "DownwardAPIVolumeSource",
            "emptyDir": "EmptyDirVolumeSource",
            "ephemeral": "EphemeralVolumeSource",
            "hostPath": "HostPathVolumeSource",
            "image": "ImageVolumeSource",
            "projected": "ProjectedVolumeSource",
            "secret": "SecretVolumeSource",
        },
        counts="emptyDir",
    ),
    "ConfigMapVolumeSource": type_of(of={"items": "KeyToPath"}, counts="defaultMode optional"),
    "KeyToPath": type_of(counts="mode"),
    "CSIVolumeSource": type_of(
        of={"nodePublishSecretRef": "LocalObjectReference"}, counts="fsType readOnly"
    ),
    "DownwardAPIVolumeSource": type_of(of={"items": "DownwardAPIVolumeFile"}, counts="defaultMode"),
    "DownwardAPIVolumeFile": type_of(
        of={"fieldRef": "ObjectFieldSelector", "resourceFieldRef": "ResourceFieldSelector"},
        counts="mode",
    ),
    "EmptyDirVolumeSource": type_of(quantities="sizeLimit"),
    "EphemeralVolumeSource": type_of(of={"volumeClaimTemplate": "PersistentVolumeClaimTemplate"}),
    "HostPathVolumeSource": type_of(counts="type"),
    "ImageVolumeSource": type_of(default={"pullPolicy": ANY}),
    "ProjectedVolumeSource": type_of(of={"sources": "VolumeProjection"}, counts="defaultMode"),
    "VolumeProjection": type_of(
        of={
            "clusterTrustBundle": "ClusterTrustBundleProjection",
            "configMap": "ConfigMapProjection",
            "downwardAPI": "DownwardAPIProjection",
            "secret": "SecretProjection",
        },
        counts="downwardAPI",
    ),
    "ClusterTrustBundleProjection": type_of(of={"labelSelector": "LabelSelector"}),
    "ConfigMapProjection": type_of(of={"items": "KeyToPath"}, counts="optional"),
    "DownwardAPIProjection": type_of(of={"items": "DownwardAPIVolumeFile"}),
    "SecretProjection": type_of(of={"items": "KeyToPath"}, counts="optional"),
    "SecretVolumeSource": type_of(of={"items": "KeyToPath"}, counts="defaultMode optional"),
}
