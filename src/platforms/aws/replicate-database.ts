/** The RDS PostgreSQL of a replication: logical replication on, reachable from the runner alone. */

import { attribute, ref, sub, type TemplateResource, type TemplateValue, when } from './cloudformation.ts';

const PORT = 5432;

export const DATABASE_HOST: TemplateValue = when(
  'CreatesDatabase',
  attribute('Database', 'Endpoint.Address'),
  ref('DatabaseHost'),
);

export const DATABASE_PORT: TemplateValue = when('CreatesDatabase', PORT, ref('DatabasePort'));

/** A JSON object with `username` and `password`. */
export const DATABASE_SECRET: TemplateValue = when(
  'HasSecret',
  ref('DatabaseSecretArn'),
  attribute('Database', 'MasterUserSecret.SecretArn'),
);

export const DATABASE_RESOURCES: { readonly [name: string]: TemplateResource } = {
  DatabaseSubnets: {
    Type: 'AWS::RDS::DBSubnetGroup',
    Condition: 'CreatesDatabase',
    Properties: {
      DBSubnetGroupDescription: sub('Database of ${AWS::StackName}'),
      SubnetIds: ref('SubnetIds'),
    },
  },
  DatabaseParameters: {
    Type: 'AWS::RDS::DBParameterGroup',
    Condition: 'CreatesDatabase',
    Properties: {
      Description: sub('Logical replication for ${AWS::StackName}'),
      Family: sub('postgres${PostgresVersion}'),
      Parameters: {
        // wal_level = logical.
        'rds.logical_replication': '1',
        'rds.force_ssl': '1',
        max_replication_slots: '20',
        // One for each slot, and some for standbys and base backups.
        max_wal_senders: '25',
        max_slot_wal_keep_size: ref('SlotKeepMiB'),
        // Milliseconds. The runner reports every five seconds, and later where it is short of CPU.
        wal_sender_timeout: '60000',
      },
    },
  },
  DatabaseSecurityGroup: {
    Type: 'AWS::EC2::SecurityGroup',
    Condition: 'CreatesDatabase',
    Properties: {
      GroupDescription: sub('Database of ${AWS::StackName}'),
      VpcId: ref('VpcId'),
      SecurityGroupIngress: [fromRunner(PORT)],
      // Without a rule a group may reach everything; this one reaches nobody.
      SecurityGroupEgress: [
        { IpProtocol: '-1', CidrIp: '127.0.0.1/32', Description: 'Nothing is reached from the database' },
      ],
    },
  },
  Database: {
    Type: 'AWS::RDS::DBInstance',
    Condition: 'CreatesDatabase',
    DeletionPolicy: 'Snapshot',
    UpdateReplacePolicy: 'Snapshot',
    Properties: {
      Engine: 'postgres',
      EngineVersion: ref('PostgresVersion'),
      DBInstanceClass: ref('DatabaseClass'),
      DBName: ref('DatabaseName'),
      Port: String(PORT),
      MasterUsername: 'postgres',
      ManageMasterUserPassword: true,
      StorageType: 'gp3',
      StorageEncrypted: true,
      AllocatedStorage: ref('DatabaseStorageGiB'),
      MaxAllocatedStorage: ref('DatabaseStorageMaxGiB'),
      MultiAZ: when('HasMultiAz', true, false),
      PubliclyAccessible: false,
      DBSubnetGroupName: ref('DatabaseSubnets'),
      DBParameterGroupName: ref('DatabaseParameters'),
      VPCSecurityGroups: [attribute('DatabaseSecurityGroup', 'GroupId')],
      BackupRetentionPeriod: 7,
      CopyTagsToSnapshot: true,
      EnableCloudwatchLogsExports: ['postgresql'],
    },
  },
  DatabaseFromRunner: {
    Type: 'AWS::EC2::SecurityGroupIngress',
    Condition: 'HasDatabaseGroup',
    Properties: { GroupId: ref('DatabaseSecurityGroupId'), ...fromRunner(ref('DatabasePort')) },
  },
};

function fromRunner(port: TemplateValue): { readonly [property: string]: TemplateValue } {
  return {
    IpProtocol: 'tcp',
    FromPort: port,
    ToPort: port,
    SourceSecurityGroupId: attribute('RunnerSecurityGroup', 'GroupId'),
    Description: 'PostgreSQL for the runner of Longshore',
  };
}
